//! The `#{}` at the end of a call: how something is to be done.

use std::path::PathBuf;
use std::time::Duration;

use rhai::{Array, Dynamic, Map};

use super::{Fault, Result, parse_duration, parse_size};

/// Options of one call, read by type and by name. A name the call does not know is refused before anything is done.
#[derive(Debug)]
pub struct Opts {
    /// `module::function`, for the errors.
    call: &'static str,
    map: Map,
}

impl Opts {
    /// # Errors
    /// `<module>.option`: a name that is not in `known`, with the nearest one that is.
    pub fn new(call: &'static str, map: Map, known: &[String]) -> Result<Self> {
        match map.keys().find(|key| !known.iter().any(|name| name == key.as_str())) {
            None => Ok(Opts { call, map }),
            Some(key) => {
                let fault = Fault::new(kind(call), format!("`{call}` has no option `{key}`"))
                    .nearest(key, known.iter().map(String::as_str));
                Err(if known.is_empty() {
                    fault.hint(format!("`{call}` takes no options"))
                } else {
                    fault.hint(format!("its options: {}", known.join(", ")))
                })
            }
        }
    }

    /// An option as it stands; `()` counts as not given.
    pub fn raw(&self, name: &str) -> Option<Dynamic> {
        self.map.get(name).filter(|value| !value.is_unit()).map(Dynamic::flatten_clone)
    }

    fn typed<T>(
        &self,
        name: &str,
        expected: &str,
        read: impl FnOnce(&Dynamic) -> Result<Option<T>>,
    ) -> Result<Option<T>> {
        let Some(value) = self.raw(name) else { return Ok(None) };
        match read(&value) {
            Ok(Some(read)) => Ok(Some(read)),
            Ok(None) => Err(self.wrong(name, expected, &value)),
            Err(fault) => {
                let mut fault = fault;
                fault.message = format!("option `{name}` of `{}`: {}", self.call, fault.message);
                Err(fault)
            }
        }
    }

    fn wrong(&self, name: &str, expected: &str, value: &Dynamic) -> Fault {
        let found = match value.type_name() {
            "i64" => "int",
            "f64" => "float",
            name => name.rsplit("::").next().unwrap_or(name),
        };
        Fault::new(
            kind(self.call),
            format!("option `{name}` of `{}` takes {expected}, not {value} ({found})", self.call),
        )
    }

    /// An error about the value of one option, for checks of the caller's own.
    pub fn refuse(&self, name: &str, why: &str) -> Fault {
        Fault::new(kind(self.call), format!("option `{name}` of `{}`: {why}", self.call))
    }

    pub fn text(&self, name: &str) -> Result<Option<String>> {
        self.typed(name, "a text", |v| Ok(v.clone().into_string().ok()))
    }

    pub fn path(&self, name: &str) -> Result<Option<PathBuf>> {
        self.typed(name, "a path", |v| Ok(v.clone().into_string().ok().map(PathBuf::from)))
    }

    pub fn flag(&self, name: &str) -> Result<bool> {
        Ok(self.typed(name, "true or false", |v| Ok(v.as_bool().ok()))?.unwrap_or(false))
    }

    pub fn int(&self, name: &str) -> Result<Option<i64>> {
        self.typed(name, "a whole number", |v| Ok(v.as_int().ok()))
    }

    /// A whole number from `min` to `max`.
    pub fn count(&self, name: &str, min: u64, max: u64) -> Result<Option<u64>> {
        let Some(value) = self.int(name)? else { return Ok(None) };
        match u64::try_from(value) {
            Ok(count) if (min..=max).contains(&count) => Ok(Some(count)),
            _ => Err(self.refuse(name, &format!("{value} is not between {min} and {max}"))),
        }
    }

    /// Bytes: a text with a unit, or a whole number.
    pub fn size(&self, name: &str) -> Result<Option<u64>> {
        self.typed(name, "a size", size_of)
    }

    /// A text with a unit, or a whole or broken number of seconds.
    pub fn time(&self, name: &str) -> Result<Option<Duration>> {
        self.typed(name, "a time", time_of)
    }

    /// A list of texts; one text alone is a list of one.
    pub fn texts(&self, name: &str) -> Result<Vec<String>> {
        let read = self.typed(name, "a list of texts", |v| {
            if v.is_string() {
                return Ok(v.clone().into_string().ok().map(|text| vec![text]));
            }
            let list = v.clone().try_cast::<Array>();
            Ok(list.and_then(|list| list.into_iter().map(|item| item.into_string().ok()).collect()))
        })?;
        Ok(read.unwrap_or_default())
    }

    pub fn map(&self, name: &str) -> Result<Option<Map>> {
        self.typed(name, "a map", |v| Ok(v.clone().try_cast::<Map>()))
    }

    pub fn list(&self, name: &str) -> Result<Option<Array>> {
        self.typed(name, "a list", |v| Ok(v.clone().try_cast::<Array>()))
    }

    /// A value of one of the script's own types: a closure, a handle, a source.
    pub fn value<T: Clone + Send + Sync + 'static>(&self, name: &str, expected: &str) -> Result<Option<T>> {
        self.typed(name, expected, |v| Ok(v.clone().try_cast::<T>()))
    }

    /// An option the call cannot do without.
    pub fn need<T>(&self, name: &str, value: Option<T>) -> Result<T> {
        value.ok_or_else(|| Fault::new(kind(self.call), format!("`{}` needs the option `{name}`", self.call)))
    }
}

fn kind(call: &str) -> String {
    format!("{}.option", call.split([':', '.', ' ']).next().unwrap_or(call))
}

/// Bytes of a script value: a text with a unit or a whole number; `None` for any other type.
pub fn size_of(value: &Dynamic) -> Result<Option<u64>> {
    if let Ok(number) = value.as_int() {
        return u64::try_from(number)
            .map(Some)
            .map_err(|_| Fault::new("value.size", format!("{number} is negative, a size is not")));
    }
    value.clone().into_string().ok().map(|text| parse_size(&text)).transpose()
}

/// A duration of a script value: a text with a unit, or seconds; `None` for any other type.
pub fn time_of(value: &Dynamic) -> Result<Option<Duration>> {
    let seconds = value.as_int().map(|n| n as f64).or_else(|_| value.as_float());
    if let Ok(seconds) = seconds {
        return Duration::try_from_secs_f64(seconds)
            .map(Some)
            .map_err(|_| Fault::new("value.time", format!("{seconds} seconds is no time to wait")));
    }
    value.clone().into_string().ok().map(|text| parse_duration(&text)).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opts(pairs: &[(&str, Dynamic)]) -> Result<Opts> {
        let map = pairs.iter().map(|(k, v)| ((*k).into(), v.clone())).collect();
        Opts::new("chain::send", map, &["session".into(), "nodes".into(), "timeout".into(), "buffer".into()])
    }

    #[test]
    fn an_unknown_option_names_the_nearest() {
        let fault = opts(&[("sesion", "x".into())]).unwrap_err();
        assert_eq!(fault.kind, "chain.option");
        assert_eq!(fault.message, "`chain::send` has no option `sesion`");
        assert_eq!(fault.hints[0], "did you mean `session`?");
    }

    #[test]
    fn values_are_read_by_type() {
        let opts =
            opts(&[("nodes", 3.into()), ("timeout", "2m".into()), ("buffer", "16MiB".into()), ("session", ().into())])
                .unwrap();
        assert_eq!(opts.count("nodes", 1, 9).unwrap(), Some(3));
        assert_eq!(opts.time("timeout").unwrap(), Some(Duration::from_secs(120)));
        assert_eq!(opts.size("buffer").unwrap(), Some(16 << 20));
        assert_eq!(opts.text("session").unwrap(), None);
        assert_eq!(
            opts.text("nodes").unwrap_err().message,
            "option `nodes` of `chain::send` takes a text, not 3 (int)"
        );
        assert!(opts.count("nodes", 4, 9).is_err());
    }
}
