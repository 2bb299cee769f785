//! `stream`: bytes from a source to a sink.

use std::path::Path;

use super::prelude::*;
use super::words::words;
use crate::kit::stream::{self, Sink, Source};

pub fn types(engine: &mut Engine) {
    engine.register_type_with_name::<SourceValue>("source");
    engine.register_type_with_name::<SinkValue>("sink");
}

fn line(program: &str, args: &[String]) -> String {
    format!("{program} {}", args.join(" ")).trim_end().to_string()
}

#[export_module]
pub mod module {
    /// Moves all of a source into a sink and gives `#{ bytes, seconds, digest, delivered }`: the digest is the BLAKE3 of
    /// the bytes, `delivered` what the sink made of them (`bytes`, `entries`, `warnings`). When either end fails, or on
    /// Ctrl-C, the sink gives up and leaves nothing that passes for whole.
    ///
    /// # Errors
    /// - the source's or the sink's own
    /// - `stream.used`: the source or the sink was used before
    ///
    /// # Example
    /// ```rhai
    /// let report = stream::copy(stream::blob("hello"), stream::into_file("greeting"));
    /// report.bytes                                       // => 5
    /// report.digest.sub_string(0, 8)                     // => "ea8f163d"
    /// stream::copy(stream::file("greeting"), stream::discard()).digest == report.digest  // => true
    /// let once = stream::blob("x");
    /// stream::copy(once, stream::discard());
    /// stream::copy(once, stream::discard())              // => throws stream.used
    /// ```
    #[rhai_fn(return_raw)]
    pub fn copy(ctx: NativeCallContext, source: SourceValue, sink: SinkValue) -> Raw<Map> {
        let host = host_of(&ctx);
        let title = format!("{} -> {}", source.name(), sink.name());
        let (mut source, mut sink) = (source.take()?, sink.take()?);
        let report = host.perform(Effect::new("stream.copy", &title, Weight::Change), || {
            let meter = host.meter(&title, source.size());
            stream::copy(&mut *source, &mut *sink, &meter, &host.cancel())
        })?;
        Ok(to_dynamic(&report).cast())
    }

    /// A file, a disk or a partition as a source.
    ///
    /// # Errors
    /// - `stream.open`: it cannot be read, or is a folder, a FIFO or a socket
    /// - `stream.read`, from the copy: it cannot be read further, or was cut meanwhile
    ///
    /// # Example
    /// ```rhai
    /// stream::copy(stream::file("/proc/version"), stream::discard()).bytes > 10   // => true
    /// stream::file("no/such/file")                                               // => throws stream.open
    /// ```
    #[rhai_fn(return_raw)]
    pub fn file(ctx: NativeCallContext, path: &str) -> Raw<SourceValue> {
        host_of(&ctx);
        Ok(SourceValue::new(Box::new(stream::file(Path::new(path))?)))
    }

    /// Bytes of the script as a source: a text or a blob.
    ///
    /// # Errors
    /// - `stream.argument`: neither a text nor a blob
    ///
    /// # Example
    /// ```rhai
    /// stream::copy(stream::blob("four"), stream::discard()).bytes        // => 4
    /// stream::copy(stream::blob(blob(3, 0)), stream::discard()).bytes    // => 3
    /// stream::blob(7)                                                    // => throws stream.argument
    /// ```
    #[rhai_fn(return_raw)]
    pub fn blob(ctx: NativeCallContext, data: Dynamic) -> Raw<SourceValue> {
        host_of(&ctx);
        let bytes = match data.type_name() {
            _ if data.is_blob() => data.into_blob().unwrap_or_default(),
            _ if data.is_string() => data.to_string().into_bytes(),
            other => {
                return Err(Fault::new(
                    "stream.argument",
                    format!("cannot stream {data} ({other}): not a text or a blob"),
                )
                .into());
            }
        };
        Ok(SourceValue::new(Box::new(stream::blob(bytes))))
    }

    /// What a program prints, as a source. It starts at once, without a shell; an exit status other than 0 is an error
    /// of the copy.
    ///
    /// # Errors
    /// - `proc.missing`, `proc.start`: it cannot be run
    /// - `proc.failed`, from the copy: exit status or signal, with the last lines of standard error
    /// - `stream.argument`: an argument is neither text nor number
    ///
    /// # Example
    /// ```rhai
    /// stream::copy(stream::command("seq", [1, 3]), stream::discard()).bytes               // => 6
    /// stream::copy(stream::command("sh", ["-c", "echo x; exit 1"]), stream::discard())    // => throws proc.failed
    /// ```
    #[rhai_fn(return_raw)]
    pub fn command(ctx: NativeCallContext, program: &str, args: Array) -> Raw<SourceValue> {
        let args = words("stream::command", args)?;
        let effect = Effect::new("stream.command", line(program, &args), Weight::Open);
        let source = host_of(&ctx)
            .perform(effect, || stream::command(program, &args).map(|source| Box::new(source) as Box<dyn Source>))?;
        Ok(SourceValue::new(source))
    }

    /// Compresses a source as the zstd program does. `level` from -7 (fast) to 22 (small); 3 is its own choice.
    ///
    /// # Errors
    /// - `stream.zstd`: no such level
    ///
    /// # Example
    /// ```rhai
    /// let packed = stream::zstd(stream::blob(blob(1000000, 7)), 3);
    /// stream::copy(packed, stream::discard()).bytes < 1000     // => true
    /// stream::zstd(stream::blob("x"), 23)                      // => throws stream.zstd
    /// ```
    #[rhai_fn(return_raw)]
    pub fn zstd(ctx: NativeCallContext, source: SourceValue, level: i64) -> Raw<SourceValue> {
        host_of(&ctx);
        Ok(SourceValue::new(Box::new(stream::zstd(source.take()?, level)?)))
    }

    /// Decompresses a source that zstd compressed, of one frame or several.
    ///
    /// # Errors
    /// - `stream.zstd`, from the copy: not zstd, cut short, damaged, or a window of more than 128 MiB
    ///
    /// # Example
    /// ```rhai
    /// let plain = stream::unzstd(stream::zstd(stream::blob("there and back"), 3));
    /// stream::copy(plain, stream::discard()).bytes                               // => 14
    /// stream::copy(stream::unzstd(stream::blob("plain")), stream::discard())     // => throws stream.zstd
    /// ```
    #[rhai_fn(return_raw)]
    pub fn unzstd(ctx: NativeCallContext, source: SourceValue) -> Raw<SourceValue> {
        host_of(&ctx);
        Ok(SourceValue::new(Box::new(stream::unzstd(source.take()?)?)))
    }

    /// Decompresses what comes, one zstd frame or several, and puts it into another sink.
    ///
    /// # Errors
    /// - `stream.zstd`, from the copy: not zstd, cut short, damaged, or a window of more than 128 MiB
    ///
    /// # Example
    /// ```rhai
    /// let packed = stream::zstd(stream::blob("there and back"), 3);
    /// stream::copy(packed, stream::into_unzstd(stream::into_file("plain")));
    /// fs::read("plain")                                                                        // => "there and back"
    /// stream::copy(stream::blob("plain"), stream::into_unzstd(stream::discard()))              // => throws stream.zstd
    /// ```
    #[rhai_fn(return_raw)]
    pub fn into_unzstd(ctx: NativeCallContext, sink: SinkValue) -> Raw<SinkValue> {
        host_of(&ctx);
        Ok(SinkValue::new(Box::new(stream::into_unzstd(sink.take()?)?)))
    }

    /// A source that has to have a digest, the BLAKE3 in 64 hexadecimal digits that `stream::copy` reports and
    /// `fs::hash` takes: it is passed on, and where it ends with another digest it fails.
    ///
    /// # Errors
    /// - `stream.digest`, from the copy: it is not what it was
    /// - `stream.argument`: it is no digest
    ///
    /// # Example
    /// ```rhai
    /// let digest = stream::copy(stream::blob("data"), stream::into_file("saved")).digest;
    /// stream::copy(stream::verified(stream::file("saved"), digest), stream::discard()).bytes   // => 4
    /// fs::write("saved", "date");
    /// stream::copy(stream::verified(stream::file("saved"), digest), stream::discard())         // => throws stream.digest
    /// ```
    #[rhai_fn(return_raw)]
    pub fn verified(ctx: NativeCallContext, source: SourceValue, digest: &str) -> Raw<SourceValue> {
        host_of(&ctx);
        Ok(SourceValue::new(Box::new(stream::verified(source.take()?, digest)?)))
    }

    /// A file as a sink. It is written under another name beside its place and appears there at the end, whole; until
    /// then what was there stays.
    ///
    /// # Errors
    /// - `stream.open`: the folder is missing or cannot be written to, or something else than a file is there
    /// - `stream.write`, from the copy: the disk is full or fails
    ///
    /// # Example
    /// ```rhai
    /// stream::copy(stream::blob("data"), stream::into_file("out")).delivered.bytes   // => 4
    /// stream::into_file("no/such/folder/out")                                       // => throws stream.open
    /// ```
    #[rhai_fn(return_raw)]
    pub fn into_file(ctx: NativeCallContext, path: &str) -> Raw<SinkValue> {
        let sink = host_of(&ctx).perform(Effect::new("stream.into_file", path, Weight::Change), || {
            stream::into_file(Path::new(path)).map(|sink| Box::new(sink) as Box<dyn Sink>)
        })?;
        Ok(SinkValue::new(sink))
    }

    /// The standard input of a program as a sink. It starts at once, without a shell; what it prints on standard output
    /// goes nowhere. It has to read all and end with status 0; when the source fails it is killed and never sees the end.
    ///
    /// # Errors
    /// - `proc.missing`, `proc.start`: it cannot be run
    /// - `proc.failed`, from the copy: exit status or signal, with the last lines of standard error
    /// - `stream.write`, from the copy: it stopped reading before the end
    /// - `stream.argument`: an argument is neither text nor number
    ///
    /// # Example
    /// ```rhai
    /// stream::copy(stream::blob("kept"), stream::into_command("dd", ["of=copy", "status=none"])).bytes  // => 4
    /// stream::copy(stream::blob("lost"), stream::into_command("sh", ["-c", "cat; exit 5"]))   // => throws proc.failed
    /// ```
    #[rhai_fn(return_raw)]
    pub fn into_command(ctx: NativeCallContext, program: &str, args: Array) -> Raw<SinkValue> {
        let args = words("stream::into_command", args)?;
        let effect = Effect::new("stream.into_command", line(program, &args), Weight::Change);
        let sink = host_of(&ctx)
            .perform(effect, || stream::into_command(program, &args).map(|sink| Box::new(sink) as Box<dyn Sink>))?;
        Ok(SinkValue::new(sink))
    }

    /// A sink that keeps nothing: to measure a source, or for its digest.
    ///
    /// # Example
    /// ```rhai
    /// stream::copy(stream::blob("gone"), stream::discard()).bytes    // => 4
    /// ```
    pub fn discard() -> SinkValue {
        SinkValue::new(Box::new(stream::discard()))
    }
}
