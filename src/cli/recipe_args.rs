//! A recipe's PARAMS as a command line: help, defaults, and the nearest name for a misspelt one.

use clap::builder::{PossibleValuesParser, StyledStr};
use clap::{Arg, ArgAction, Args as _, Command, FromArgMatches};
use rhai::{Array, Dynamic, Map};

use super::args::HostArgs;
use crate::host::Fault;
use crate::script::run::Recipe;
use crate::script::{Kind, Param};

/// The values for the recipe's `args`, and the options of kar itself found among them. `typed` is how the person named
/// the recipe.
///
/// # Errors
/// clap's own (usage, help), or a fault that names the parameter and its value.
pub fn parse(recipe: &Recipe, typed: &str, words: &[String]) -> Result<(Map, HostArgs), Refusal> {
    let matches = command(recipe, typed).try_get_matches_from(words).map_err(Refusal::Usage)?;
    let mut values = Map::new();
    for param in &recipe.params {
        let given: Vec<&String> = matches.get_many::<String>(&param.name).into_iter().flatten().collect();
        let value = match given.as_slice() {
            [] => param.value.clone(),
            texts => {
                let parsed = texts.iter().map(|text| param.parse(text)).collect::<Result<Vec<_>, _>>();
                joined(param, parsed.map_err(Refusal::Value)?)
            }
        };
        values.insert(param.name.as_str().into(), value);
    }
    let host = HostArgs::from_arg_matches(&matches).map_err(Refusal::Usage)?;
    Ok((values, host))
}

pub enum Refusal {
    Usage(clap::Error),
    Value(Fault),
}

/// A list may be given in pieces; of anything else the last one counts.
fn joined(param: &Param, mut values: Vec<Dynamic>) -> Dynamic {
    match param.kind {
        Kind::List | Kind::Hosts => values.into_iter().flat_map(Dynamic::cast::<Array>).collect::<Array>().into(),
        _ => values.pop().unwrap_or_else(|| param.value.clone()),
    }
}

fn command(recipe: &Recipe, typed: &str) -> Command {
    let about = recipe.script.about();
    let command = Command::new("kar run").no_binary_name(true).bin_name(format!("kar run {typed}"));
    let command = recipe.params.iter().fold(command, |command, param| command.arg(arg(param)));
    HostArgs::augment_args(command)
        .about(about.first().map(|line| line.to_string()).unwrap_or_default())
        .after_help(StyledStr::from(flowing(about.get(1..).unwrap_or_default())))
        .max_term_width(100)
}

/// Paragraphs as one line each, for the terminal to wrap; a line that begins with a sign (a list's) stands by itself.
fn flowing(lines: &[&str]) -> String {
    let mut text = String::new();
    for line in lines {
        let begins = line.starts_with(|c: char| !c.is_alphanumeric() && !"`\"(".contains(c));
        match line.is_empty() {
            true => text += "\n\n",
            false if text.ends_with('\n') => text += line,
            false => text += &format!("{}{line}", if begins { '\n' } else { ' ' }),
        }
    }
    text.trim().to_string()
}

fn arg(param: &Param) -> Arg {
    let mut help = param.help.clone();
    if let Some(value) = param.shown() {
        help = format!("{help} [default: {value}]").trim().to_string();
    }
    // clap checks and shows the choices of a single value; those of a list are shown as clap would.
    let list = matches!(param.kind, Kind::List | Kind::Hosts);
    if list && !param.choices.is_empty() {
        help = format!("{help} [possible values: {}]", param.choices.join(", ")).trim().to_string();
    }
    let arg = Arg::new(param.name.clone()).long(param.name.replace('_', "-")).help(help).required(param.required);
    let arg = match param.kind {
        Kind::Flag => arg
            .action(ArgAction::Append)
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true")
            .value_name("BOOL")
            .hide_possible_values(true),
        _ => arg.action(ArgAction::Append).value_name(param.kind.to_string().to_uppercase()).allow_hyphen_values(true),
    };
    match param.choices.is_empty() || list {
        true => arg,
        false => arg.value_parser(PossibleValuesParser::new(param.choices.clone())),
    }
}
