//! The command line of kar itself; a recipe's own options stand in `recipe_args`.

use std::path::PathBuf;

use clap::{Args as ClapArgs, Parser, Subcommand};

#[derive(Parser)]
#[command(
    name = "kar",
    version,
    about = "A scripting host for installing machines over the network",
    after_help = "`kar run linux` rehearses the Linux flow on this machine; `kar run linux --help` shows what it takes.",
    max_term_width = 100
)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand)]
pub enum Command {
    /// Run a recipe
    Run(Run),
    /// Type scripts line by line and look at what they give
    Repl(Repl),
    /// Run one text and print its value
    Eval(Eval),
    /// Write a small, complete recipe to begin with
    New(New),
    /// Write a boot script of ka-boot or BpBatch as a recipe
    Import(Import),
    /// Look for errors in a recipe, and in what it imports, without running it
    Check(Check),
    /// Show what scripts can call: all modules, one, or one function
    Doc(Doc),
    /// List the stdlib modules and where each comes from, or copy one out to edit
    Lib(Lib),
    /// List the recipes in the binary, or copy one out to edit
    Recipes(Recipes),
    /// Be the first process of a node; the kernel starts it so, as /init of its image
    Node,
}

#[derive(ClapArgs)]
#[command(override_usage = "kar run [OPTIONS] <FILE>[:ENTRY] [--PARAM VALUE]...")]
pub struct Run {
    /// A recipe file, or the name of one in the binary; `:ENTRY` calls another function than main. Behind it the
    /// recipe's own options: `kar run FILE --help` lists them
    #[arg(value_name = "FILE", required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub words: Vec<String>,
    #[command(flatten)]
    pub host: HostArgs,
}

/// Options of whatever runs scripts; of `kar run` they may stand before the recipe or among its options.
#[derive(ClapArgs, Clone, Default)]
pub struct HostArgs {
    /// Write down every effect in FILE, as JSON lines
    #[arg(long, value_name = "FILE", help_heading = "kar")]
    pub journal: Option<PathBuf>,
    /// Look for modules in DIR first; may be given more than once
    #[arg(long, value_name = "DIR", help_heading = "kar")]
    pub lib: Vec<PathBuf>,
    /// Show `log::trace` lines too
    #[arg(long, short, help_heading = "kar")]
    pub verbose: bool,
}

#[derive(ClapArgs)]
pub struct Repl {
    #[command(flatten)]
    pub host: HostArgs,
}

#[derive(ClapArgs)]
pub struct Eval {
    /// A script: `kar eval 'disk::list()'`
    pub text: String,
    #[command(flatten)]
    pub host: HostArgs,
}

#[derive(ClapArgs)]
pub struct New {
    /// The recipe is NAME.rhai
    pub name: String,
}

#[derive(ClapArgs)]
pub struct Import {
    /// The script; files that it runs are looked for beside it
    pub file: PathBuf,
    /// The recipe to write, which must not be there yet; standard output unless said
    #[arg(long, value_name = "FILE")]
    pub to: Option<PathBuf>,
    /// `ka-boot` or `bpbatch`; by the script's name (.kbt, .bpb) or words unless said
    #[arg(long, value_name = "LANGUAGE")]
    pub language: Option<String>,
}

#[derive(ClapArgs)]
pub struct Check {
    /// Recipe files, or names of recipes in the binary
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<String>,
    /// Look for modules in DIR first
    #[arg(long, value_name = "DIR")]
    pub lib: Vec<PathBuf>,
}

#[derive(ClapArgs)]
pub struct Doc {
    /// `disk`, `disk::open`
    #[arg(value_name = "MODULE[::FUNCTION]")]
    pub topic: Option<String>,
    /// Write the whole reference as Markdown files into DIR
    #[arg(long, value_name = "DIR", conflicts_with = "topic")]
    pub write: Option<PathBuf>,
}

#[derive(ClapArgs)]
pub struct Lib {
    /// Copy this module into `stdlib/` here, to edit; recipes beside that folder then use it
    #[arg(long, value_name = "NAME")]
    pub copy: Option<String>,
    /// Look for modules in DIR first
    #[arg(long, value_name = "DIR")]
    pub lib: Vec<PathBuf>,
}

#[derive(ClapArgs)]
pub struct Recipes {
    /// Copy this recipe here, to edit
    #[arg(long, value_name = "NAME")]
    pub copy: Option<String>,
}
