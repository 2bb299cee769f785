//! The work of a node: drivers, network, recipe, and its entry.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rhai::Map;

use super::super::args::HostArgs;
use super::super::exit::Exit;
use super::super::host::{Interrupts, on_host_with};
use super::modprobe::loader;
use super::told::{self, Told};
use crate::host::{Console, Fault, Hold, Host, Level, Result, nearest};
use crate::kit::node::{self, Cmdline, Hardware, Job, NAMES, Network, Settings};
use crate::kit::tftp;
use crate::kit::watch::Teller;
use crate::script::run::Recipe;
use crate::script::{Library, Param, Report};

/// Where recipes of the image are.
const RECIPES: &str = "/recipes";
/// Where fetched ones are put.
const FETCHED: &str = "/run/kar";

/// The worker; or, given a number of milliseconds, one that waits: the first process has no timer beside its children.
pub fn work() -> Exit {
    if let Some(time) = std::env::args().nth(2).and_then(|time| time.parse().ok()) {
        std::thread::sleep(Duration::from_millis(time));
        return Exit::Done;
    }
    let (line, read) = match node::cmdline() {
        Ok(line) => (line, None),
        Err(fault) => (Cmdline::default(), Some(fault)),
    };
    let (settings, wrong) = node::settings(&line);
    let options = HostArgs { verbose: settings.verbose, ..HostArgs::default() };
    let teller = Teller::default();
    let told = teller.clone();
    let console = move |terminal| -> Arc<dyn Console> { Arc::new(Told { terminal, teller: told }) };
    on_host_with(&options, &Interrupts::default(), console, move |host, _| {
        for fault in read.iter().chain(&wrong) {
            host.log(Level::Error, &fault.message);
            fault.hints.iter().for_each(|hint| host.log(Level::Info, hint));
        }
        // Given back last: the goodbye comes after all else.
        let mut hold = None;
        let ended = install(host, &line, &settings, &teller, &mut hold);
        told::end(&teller, &ended);
        drop(hold);
        ended.map(drop)
    })
}

fn install(
    host: &Host,
    line: &Cmdline,
    settings: &Settings,
    teller: &Teller,
    hold: &mut Option<Hold>,
) -> Result<serde_json::Value, Box<Report>> {
    let _drivers = drivers(host)?;
    let network = network(host, settings)?;
    *hold = told::begin(host, settings, teller);
    name_node(settings, network.as_ref());
    let (recipe, given) = match &settings.job {
        Some(url) => job(host, url)?,
        None => (recipe(host, settings)?, Map::new()),
    };
    if let Some(finding) = recipe.check().into_iter().next() {
        return Err(Box::new(finding));
    }
    let mut args = arguments(host, &recipe, line, settings, network.as_ref(), given)?;
    // A job's recipe begins as it does on the server, and sees where it is; any other one begins where it was told to.
    let entry = if settings.job.is_some() { "main" } else { settings.entry.as_str() };
    if settings.job.is_some() {
        args.insert("node".into(), Map::from([("entry".into(), settings.entry.as_str().into())]).into());
    }
    let up = node::facts().map(|facts| facts.uptime).unwrap_or_default();
    host.log(
        Level::Step,
        &format!("{}() of {}, {up:.2} s after the kernel's start", settings.entry, recipe.script.name),
    );
    let report = recipe.run(host, entry, args)?;
    Ok(rhai::serde::from_dynamic(&report).unwrap_or_default())
}

/// A recipe with all that it imports, and what the server called it with.
fn job(host: &Host, url: &str) -> Result<(Recipe, Map), Box<Report>> {
    let (_, bytes) = get(host, "job", url)?;
    let job = Job::parse(&bytes)?;
    let (recipe, lib) = job.unpack(Path::new(FETCHED))?;
    let library = Library::new(lib);
    let recipe = Recipe::read(&library, library.recipe(&recipe.display().to_string())?)?;
    let args = rhai::serde::to_dynamic(&job.args).map_err(|error| Fault::new("node.job", error.to_string()))?;
    Ok((recipe, args.try_cast::<Map>().unwrap_or_default()))
}

/// A node without modules has them built in, or has an image of another kernel.
fn drivers(host: &Host) -> Result<Option<Hardware>> {
    let loader = match loader() {
        Ok(loader) => loader,
        Err(fault) => {
            host.log(Level::Warn, &format!("{}: no drivers are loaded", fault.message));
            return Ok(None);
        }
    };
    let teller = host.clone();
    let hardware = Hardware::start(loader, Arc::new(move |text| teller.log(Level::Trace, text)))?;
    if !hardware.settle(&host.cancel())? {
        host.log(Level::Warn, "this machine shows no disk");
    }
    Ok(Some(hardware))
}

fn network(host: &Host, settings: &Settings) -> Result<Option<Network>> {
    if let Err(fault) = crate::kit::net::up("lo") {
        host.log(Level::Trace, &fault.message);
    }
    if !settings.wants_network() {
        return Ok(None);
    }
    let teller = host.clone();
    let say: node::Say = Arc::new(move |text| teller.log(Level::Info, text));
    let network = host.wait(node::bring_up(settings, &say))?;
    host.log(Level::Info, &format!("{} ({}): address {}", network.interface, network.mac, network.ip));
    Ok(Some(network))
}

/// As the command line says, or DHCP; else by the card, so that no two nodes have one name.
fn host_name(settings: &Settings, network: Option<&Network>) -> String {
    let lease = network.and_then(|network| network.lease.as_ref()).map(|lease| lease.hostname.clone());
    let card = network.map(|network| format!("node-{}", network.mac.replace(':', "")));
    let named = settings.host.clone().or(lease.filter(|name| !name.is_empty())).or(card);
    named.unwrap_or_else(|| "node".into())
}

fn name_node(settings: &Settings, network: Option<&Network>) {
    // A name that the kernel does not take is one that only the recipe sees.
    let _ = nix::unistd::sethostname(host_name(settings, network));
}

fn recipe(host: &Host, settings: &Settings) -> Result<Recipe, Box<Report>> {
    let library = Library::default();
    let named = match &settings.recipe {
        None => only_recipe()?,
        Some(name) if name.contains("://") => fetch(host, name)?,
        Some(name) => {
            let beside = [format!("{RECIPES}/{name}"), format!("{RECIPES}/{name}.rhai")];
            match beside.into_iter().find(|path| std::path::Path::new(path).is_file()) {
                Some(path) => path,
                None if library.recipe(name).is_ok() => name.clone(),
                None => return Err(no_recipe(&library, name).into()),
            }
        }
    };
    Recipe::read(&library, library.recipe(&named)?)
}

/// The recipes of the image, by path.
fn in_image() -> Vec<String> {
    let entries = std::fs::read_dir(RECIPES).into_iter().flatten().flatten();
    let paths = entries.map(|entry| entry.path().display().to_string());
    let mut found: Vec<String> = paths.filter(|path| path.ends_with(".rhai")).collect();
    found.sort();
    found
}

/// A name on the command line that means nothing.
fn no_recipe(library: &Library, name: &str) -> Fault {
    let ours = in_image().into_iter().filter_map(|path| path.strip_prefix("/recipes/").map(str::to_string));
    let built_in =
        library.recipes().into_iter().filter_map(|script| script.name.strip_prefix("recipes/").map(str::to_string));
    let known: Vec<String> = ours.chain(built_in).map(|name| name.trim_end_matches(".rhai").to_string()).collect();
    let message = format!("the kernel's command line says `kar.recipe={name}`: neither image nor kar has it");
    let fault = Fault::new("node.recipe", message).nearest(name, known.iter().map(String::as_str));
    fault.hint(format!("there are: {}", known.join(", ")))
}

fn only_recipe() -> Result<String> {
    let found = in_image();
    if let [only] = found.as_slice() {
        return Ok(only.clone());
    }
    let message = match found.is_empty() {
        true => "the kernel's command line names no recipe, and the image has none in /recipes".to_string(),
        false => format!("the kernel's command line names no recipe, and the image has several: {}", found.join(", ")),
    };
    Err(Fault::new("node.recipe", message).hint("`kar.recipe=NAME` or `kar.recipe=tftp://SERVER/FILE` names it"))
}

/// What is at a URL that the command line names, and its file's name.
fn get(host: &Host, word: &str, url: &str) -> Result<(String, Vec<u8>)> {
    let wrong = || {
        let message = format!("the kernel's command line says `kar.{word}={url}`: no URL that kar can fetch");
        Fault::new("node.setting", message).hint("it is written tftp://SERVER/FILE")
    };
    let (server, file) = url.strip_prefix("tftp://").and_then(|rest| rest.split_once('/')).ok_or_else(wrong)?;
    let name = file.rsplit('/').next().filter(|name| !name.is_empty()).ok_or_else(wrong)?;
    let options = tftp::client::Options { limit: node::JOB_MOST as u64, ..tftp::client::Options::default() };
    Ok((name.to_string(), host.wait(tftp::client::get_bytes(server, file, &options))?))
}

/// Gets a recipe from the server; gives its path here.
fn fetch(host: &Host, url: &str) -> Result<String> {
    let (name, bytes) = get(host, "recipe", url)?;
    let path = format!("{FETCHED}/{name}");
    let fail = |error| Fault::io("node.recipe", format_args!("write `{path}`"), error);
    std::fs::create_dir_all(FETCHED).and_then(|()| std::fs::write(&path, bytes)).map_err(fail)?;
    Ok(path)
}

/// The recipe's parameters from the command line, and what the node knows of itself.
fn arguments(
    host: &Host,
    recipe: &Recipe,
    line: &Cmdline,
    settings: &Settings,
    network: Option<&Network>,
    given: Map,
) -> Result<Map> {
    // As a person types them: `kar.disk-size` is `disk_size`.
    let said = |param: &Param| line.kar.get(&param.name).or_else(|| line.kar.get(&param.name.replace('_', "-")));
    let of_network = |get: fn(&Network) -> String| network.map(get).unwrap_or_default();
    let own = [
        ("host", host_name(settings, network)),
        ("server", settings.server.clone().unwrap_or_default()),
        ("address", of_network(|network| network.ip.to_string())),
        ("interface", of_network(|network| network.interface.clone())),
        ("mac", of_network(|network| network.mac.clone())),
    ];
    let mut args = given;
    args.extend(own.into_iter().map(|(name, value)| (name.into(), value.into())));
    for (name, value) in &settings.arguments {
        let known = recipe.params.iter().any(|param| param.name == name.replace('-', "_"));
        if !known {
            let names = NAMES.into_iter().chain(recipe.params.iter().map(|param| param.name.as_str()));
            let near = nearest(name, names).map(|near| format!("; did you mean `kar.{near}`?")).unwrap_or_default();
            host.log(Level::Warn, &format!("`kar.{name}` is neither kar's nor a parameter of this recipe{near}"));
            args.insert(name.as_str().into(), value.clone().into());
        }
    }
    for param in &recipe.params {
        let value = match said(param) {
            Some(text) => param.parse(text)?,
            // What the node knows counts more than what a recipe has for nothing.
            None if args.contains_key(param.name.as_str()) => continue,
            None if param.required => {
                let message =
                    format!("this recipe needs `{}`, and the kernel's command line has no `kar.{0}=..`", param.name);
                return Err(Fault::new("node.setting", message));
            }
            None => param.value.clone(),
        };
        args.insert(param.name.as_str().into(), value);
    }
    Ok(args)
}
