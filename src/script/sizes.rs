//! The engine's functions that make a value as large as a number says, with a bound: one such call would take all memory
//! before anybody could stop it.

use rhai::{Array, Blob, Dynamic, Engine, EvalAltResult, ImmutableString};

use crate::host::Fault;

/// Elements of a list, bytes of a blob, letters of a text that one call makes.
const MOST: i64 = 64 << 20;

type Made<T> = Result<T, Box<EvalAltResult>>;

fn bounded(length: i64, what: &str) -> Made<usize> {
    if length > MOST {
        let message = format!("cannot make a {what} of {length}: one call makes {MOST} at most");
        return Err(Fault::new("script.memory", message)
            .hint("large data is moved by sources and sinks, not by values")
            .into());
    }
    Ok(usize::try_from(length).unwrap_or(0))
}

/// In place of the engine's own functions of these names, with the same meaning.
pub fn register(engine: &mut Engine) {
    engine.register_fn("blob", |length: i64| -> Made<Blob> { Ok(vec![0; bounded(length, "blob")?]) });
    engine.register_fn("blob", |length: i64, value: i64| -> Made<Blob> {
        Ok(vec![(value & 0xff) as u8; bounded(length, "blob")?])
    });
    engine.register_fn("pad", |list: &mut Array, length: i64, item: Dynamic| -> Made<()> {
        let length = bounded(length, "list")?;
        if length > list.len() {
            list.resize(length, item);
        }
        Ok(())
    });
    engine.register_fn("pad", |blob: &mut Blob, length: i64, value: i64| -> Made<()> {
        let length = bounded(length, "blob")?;
        if length > blob.len() {
            blob.resize(length, (value & 0xff) as u8);
        }
        Ok(())
    });
    let pad = |text: &mut ImmutableString, length: i64, padding: &str| -> Made<()> {
        let missing = bounded(length, "text")?.saturating_sub(text.chars().count());
        let more: String = padding.chars().cycle().take(missing).collect();
        *text += more.as_str();
        Ok(())
    };
    engine.register_fn("pad", move |text: &mut ImmutableString, length: i64, letter: char| {
        pad(text, length, letter.encode_utf8(&mut [0; 4]))
    });
    engine.register_fn("pad", move |text: &mut ImmutableString, length: i64, padding: &str| pad(text, length, padding));
}
