//! PARAMS: what a recipe takes, read without running it.

use std::fmt;
use std::time::Duration;

use rhai::{AST, Dynamic, Expr, Map, Position, Stmt};

use crate::host::{Fault, Result, format_size, parse_duration, parse_size};
use crate::kit::nodeset;

/// One entry of a recipe's `const PARAMS = [ .. ]`.
#[derive(Debug, Clone)]
pub struct Param {
    pub name: String,
    pub kind: Kind,
    /// What it is when not given; what the kind has for nothing (`""`, `0`, `[]`) where PARAMS names none.
    pub value: Dynamic,
    pub help: String,
    /// Allowed texts; empty allows all.
    pub choices: Vec<String>,
    pub required: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    Int,
    /// Bytes, as `int`.
    Size,
    /// Seconds, as `float`.
    Time,
    Path,
    List,
    /// Names of machines: a list, written as a node set.
    Hosts,
    Flag,
}

const KINDS: [(&str, Kind); 8] = [
    ("text", Kind::Text),
    ("int", Kind::Int),
    ("size", Kind::Size),
    ("time", Kind::Time),
    ("path", Kind::Path),
    ("list", Kind::List),
    ("hosts", Kind::Hosts),
    ("flag", Kind::Flag),
];

const KEYS: [&str; 6] = ["name", "type", "value", "help", "choices", "required"];

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KINDS.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name))
    }
}

/// A fault and where in the script it is.
pub type Placed = (Fault, Position);

/// The recipe's parameters; none when it has no PARAMS. Nothing of the script runs.
///
/// # Errors
/// `script.params`, at the entry or key that is wrong.
pub fn read(ast: &AST) -> Result<Vec<Param>, Placed> {
    let Some((expr, position)) = declaration(ast) else { return Ok(Vec::new()) };
    let Expr::Array(entries, _) = expr else {
        return Err(wrong(position, "PARAMS is a list of maps: `const PARAMS = [ #{ name: \"..\", type: \"..\" } ];`"));
    };
    let mut params: Vec<Param> = Vec::new();
    for entry in entries {
        let param = param(entry)?;
        if params.iter().any(|known| known.name == param.name) {
            return Err(wrong(entry.position(), format!("parameter `{}` is declared twice", param.name)));
        }
        params.push(param);
    }
    Ok(params)
}

fn declaration(ast: &AST) -> Option<(&Expr, Position)> {
    ast.statements().iter().find_map(|statement| match statement {
        Stmt::Var(var, ..) if var.0.name == "PARAMS" => Some((&var.1, var.0.pos)),
        _ => None,
    })
}

fn wrong(position: Position, message: impl Into<String>) -> Placed {
    (Fault::new("script.params", message.into()), position)
}

fn param(entry: &Expr) -> Result<Param, Placed> {
    let at = entry.position();
    let Expr::Map(map, _) = entry else {
        return Err(wrong(at, "an entry of PARAMS is a map: `#{ name: \"nodes\", type: \"int\", value: 3 }`"));
    };
    let mut values = Map::new();
    for (key, value) in &map.0 {
        if !KEYS.contains(&key.name.as_str()) {
            let fault = Fault::new("script.params", format!("an entry of PARAMS has no `{}`", key.name));
            return Err((fault.nearest(&key.name, KEYS).hint(format!("it has: {}", KEYS.join(", "))), key.pos));
        }
        values.insert(key.name.as_str().into(), literal(value)?);
    }
    let text = |key: &str| -> Result<Option<String>, Placed> {
        match values.get(key) {
            None => Ok(None),
            Some(value) if value.is_string() => Ok(Some(value.to_string())),
            Some(value) => Err(wrong(at, format!("`{key}` of a parameter is a text, not {value}"))),
        }
    };
    let name = text("name")?.ok_or_else(|| wrong(at, "an entry of PARAMS has no `name`"))?;
    let plain = name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    if !plain || RESERVED.contains(&name.as_str()) {
        return Err(wrong(at, format!("`{name}` cannot be a parameter's name"))).map_err(|(fault, at)| {
            let hint =
                format!("names are small letters, digits and `_`; kar keeps for itself: {}", RESERVED.join(", "));
            (fault.hint(hint), at)
        });
    }
    let kind = text("type")?.unwrap_or_else(|| "text".into());
    let kind = KINDS.iter().find(|(known, _)| *known == kind).map(|(_, kind)| *kind).ok_or_else(|| {
        let known = KINDS.map(|(name, _)| name);
        let fault = Fault::new("script.params", format!("parameter `{name}` has no type `{kind}`"));
        (fault.nearest(&kind, known).hint(format!("types: {}", known.join(", "))), at)
    })?;
    let choices = match values.get("choices") {
        None => Vec::new(),
        Some(list) => texts(list).ok_or_else(|| wrong(at, format!("`choices` of `{name}` is a list of texts")))?,
    };
    let required = match values.get("required") {
        None => false,
        Some(flag) => flag.as_bool().map_err(|_| wrong(at, format!("`required` of `{name}` is true or false")))?,
    };
    let mut param =
        Param { name, kind, value: kind.nothing(), help: text("help")?.unwrap_or_default(), choices, required };
    if let Some(value) = values.get("value") {
        param.value = param.checked(value).map_err(|fault| (fault, at))?;
    }
    Ok(param)
}

/// Options of `kar run` itself that stand among a recipe's.
pub const RESERVED: [&str; 4] = ["help", "journal", "lib", "verbose"];

/// A literal's value; anything that would have to run is refused.
fn literal(expr: &Expr) -> Result<Dynamic, Placed> {
    match expr {
        Expr::Array(items, _) => Ok(items.iter().map(literal).collect::<Result<rhai::Array, _>>()?.into()),
        Expr::Map(map, _) => {
            let pairs = map.0.iter().map(|(key, value)| Ok((key.name.as_str().into(), literal(value)?)));
            Ok(pairs.collect::<Result<Map, Placed>>()?.into())
        }
        Expr::Unit(_) => Ok(Dynamic::UNIT),
        other => other.get_literal_value(None).ok_or_else(|| {
            let fault = Fault::new("script.params", "PARAMS is read without running the script: plain values only");
            (fault.hint("compute defaults in `main`, from an empty value"), other.position())
        }),
    }
}

fn texts(value: &Dynamic) -> Option<Vec<String>> {
    let list = value.clone().try_cast::<rhai::Array>()?;
    list.into_iter().map(|item| item.into_string().ok()).collect()
}

/// What commas separate, without the blanks around and without empty ones; `\,` is a comma itself.
fn pieces(text: &str) -> Vec<String> {
    let (mut pieces, mut chars) = (vec![String::new()], text.chars().peekable());
    while let Some(c) = chars.next() {
        match c {
            ',' => pieces.push(String::new()),
            '\\' => pieces.last_mut().expect("one at least").push(chars.next_if_eq(&',').unwrap_or(c)),
            c => pieces.last_mut().expect("one at least").push(c),
        }
    }
    pieces.iter().map(|piece| piece.trim().to_string()).filter(|piece| !piece.is_empty()).collect()
}

/// As [`pieces`] takes them apart.
fn joined(list: &[String]) -> String {
    list.iter().map(|piece| piece.replace(',', "\\,")).collect::<Vec<_>>().join(",")
}

impl Kind {
    fn nothing(self) -> Dynamic {
        match self {
            Kind::Text | Kind::Path => "".into(),
            Kind::Int | Kind::Size => 0_i64.into(),
            Kind::Time => 0.0.into(),
            Kind::List | Kind::Hosts => rhai::Array::new().into(),
            Kind::Flag => false.into(),
        }
    }
}

impl Param {
    /// The value a script gets for what the person wrote on the command line.
    ///
    /// # Errors
    /// `args.value`: not of the parameter's type, or none of its choices.
    pub fn parse(&self, text: &str) -> Result<Dynamic> {
        let bad = |why: String| Fault::new("args.value", format!("`--{}` {why}", self.name.replace('_', "-")));
        let value = match self.kind {
            Kind::Text | Kind::Path => text.into(),
            Kind::Int => {
                let number: i64 = text.parse().map_err(|_| bad(format!("takes a whole number, not `{text}`")))?;
                number.into()
            }
            Kind::Size => {
                let size = parse_size(text).map_err(|_| {
                    bad(format!("takes a size, not `{text}`"))
                        .hint("a size is bytes, or has its unit: 4096, 512MiB, 20G")
                })?;
                (size as i64).into()
            }
            Kind::Time => {
                let time = parse_duration(text).map_err(|_| {
                    bad(format!("takes a time, not `{text}`")).hint("a time has its unit: 250ms, 30s, 5m, 1m30s")
                })?;
                time.as_secs_f64().into()
            }
            Kind::List => pieces(text).into_iter().map(Dynamic::from).collect::<rhai::Array>().into(),
            Kind::Hosts => nodeset::expand(text)
                .map_err(|fault| {
                    let bad = bad(format!("takes a node set, not `{text}`: {}", fault.message));
                    fault.hints.into_iter().fold(bad, Fault::hint)
                })?
                .into_iter()
                .map(Dynamic::from)
                .collect::<rhai::Array>()
                .into(),
            Kind::Flag => match text {
                "true" | "yes" | "on" => true.into(),
                "false" | "no" | "off" => false.into(),
                _ => return Err(bad(format!("is true or false, not `{text}`"))),
            },
        };
        self.choose(&value)
            .map_err(|fault| bad(fault.message.clone()).nearest(text, self.choices.iter().map(String::as_str)))?;
        Ok(value)
    }

    /// A default out of PARAMS, in the form a script gets.
    fn checked(&self, value: &Dynamic) -> Result<Dynamic> {
        let bad = || Fault::new("script.params", format!("`value` of `{}` is not a {}: {value}", self.name, self.kind));
        let found = match self.kind {
            Kind::Text | Kind::Path if value.is_string() => Some(value.clone()),
            Kind::Int | Kind::Size if value.is_int() => Some(value.clone()),
            Kind::Time if value.is_int() => value.as_int().ok().map(|seconds| (seconds as f64).into()),
            Kind::Time if value.is_float() => Some(value.clone()),
            Kind::Flag if value.is_bool() => Some(value.clone()),
            Kind::List if texts(value).is_some() => Some(value.clone()),
            // A list of sets, too; each name once.
            Kind::Hosts => match texts(value) {
                Some(list) => self.parse(&list.join(",")).ok(),
                None if value.is_string() => self.parse(&value.to_string()).ok(),
                None => None,
            },
            Kind::Size | Kind::Time if value.is_string() => self.parse(&value.to_string()).ok(),
            _ => None,
        };
        let value = found.ok_or_else(bad)?;
        self.choose(&value)
            .map_err(|fault| Fault::new("script.params", format!("`value` of `{}` {}", self.name, fault.message)))?;
        Ok(value)
    }

    fn choose(&self, value: &Dynamic) -> Result<()> {
        if self.choices.is_empty() {
            return Ok(());
        }
        let given = texts(value).unwrap_or_else(|| vec![value.to_string()]);
        match given.iter().find(|text| !self.choices.contains(text)) {
            None => Ok(()),
            Some(text) => Err(Fault::new("args.value", format!("is one of {}, not `{text}`", self.choices.join(", ")))),
        }
    }

    /// The default as `--help` shows it; nothing for an empty one.
    pub fn shown(&self) -> Option<String> {
        match self.kind {
            Kind::Size => self.value.as_int().ok().filter(|n| *n > 0).map(|n| format_size(n as u64).replace(' ', "")),
            Kind::Time => {
                let time = self.value.as_float().ok().and_then(|s| Duration::try_from_secs_f64(s).ok());
                // `1m 30s`, in the one word that a command line takes.
                time.filter(|time| !time.is_zero())
                    .map(|time| humantime::format_duration(time).to_string().replace(' ', ""))
            }
            Kind::List => texts(&self.value).filter(|list| !list.is_empty()).map(|list| joined(&list)),
            Kind::Hosts => {
                let list = texts(&self.value).filter(|list| !list.is_empty());
                list.map(|list| nodeset::fold(list.iter().map(String::as_str)))
            }
            Kind::Flag => self.value.as_bool().ok().filter(|on| *on).map(|_| "true".into()),
            _ => Some(self.value.to_string()).filter(|text| !text.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn param(kind: Kind) -> Param {
        let (name, value) = ("nodes".to_string(), kind.nothing());
        Param { name, kind, value, help: String::new(), choices: Vec::new(), required: false }
    }

    #[test]
    fn hosts_are_written_as_node_sets() {
        let mut hosts = param(Kind::Hosts);
        hosts.value = hosts.parse("icluster[08-11,20],gw").unwrap();
        let names = ["icluster08", "icluster09", "icluster10", "icluster11", "icluster20", "gw"];
        assert_eq!(texts(&hosts.value).unwrap(), names);
        assert_eq!(hosts.shown().as_deref(), Some("icluster[08-11,20],gw"));
        let several: Dynamic = vec![Dynamic::from("n[1-2]"), Dynamic::from("n2,m")].into();
        assert_eq!(texts(&hosts.checked(&several).unwrap()).unwrap(), ["n1", "n2", "m"]);
        let fault = hosts.parse("n[5-1]").unwrap_err();
        assert_eq!(fault.kind, "args.value");
        assert!(fault.message.ends_with("column 3 of the node set: `5-1` runs backwards"), "{}", fault.message);
    }

    #[test]
    fn a_list_may_hold_a_comma() {
        let mut list = param(Kind::List);
        list.value = list.parse(r"a\,b, c,,d\").unwrap();
        assert_eq!(texts(&list.value).unwrap(), ["a,b", "c", r"d\"]);
        assert_eq!(list.shown().as_deref(), Some(r"a\,b,c,d\"));
    }
}
