//! What the server knows of each node, and what is new of that.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde::Serialize;
use serde_json::Value;

use super::wire::{Event, Kind};

/// Tokens of a node that count: its firmware may have asked twice for one boot.
const TOKENS: usize = 3;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Told what to boot, and not heard of since.
    Booting,
    Running,
    Done,
    Failed,
    /// Not heard of for longer than the bound.
    Silent,
}

/// A node as the table shows it.
#[derive(Debug, Clone, Serialize)]
pub struct Node {
    pub name: String,
    /// What it was told to boot.
    pub work: String,
    pub state: State,
    /// Its last heading.
    pub step: String,
    /// The last line that it said.
    pub text: String,
    pub bytes: u64,
    /// What its work gave back.
    pub report: Value,
    /// Seconds since it was heard.
    pub quiet: f64,
    #[serde(skip)]
    heard: Instant,
    #[serde(skip)]
    tokens: Vec<String>,
    #[serde(skip)]
    run: String,
    #[serde(skip)]
    number: u64,
}

/// Something new, as the script sees it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Happening {
    /// `boot`, `info`, `step`, `warn`, `error`, `done`, `failed`, `silent`, `back`.
    pub event: &'static str,
    pub node: String,
    pub text: String,
    /// Seconds after the node's kernel started.
    pub at: f64,
    pub report: Value,
}

#[derive(Default)]
pub(super) struct Board {
    nodes: BTreeMap<String, Node>,
}

pub(super) fn happening(event: &'static str, node: &str, text: &str) -> Happening {
    Happening { event, node: node.into(), text: text.into(), at: 0.0, report: Value::Null }
}

impl Board {
    /// A boot begins: its token counts from now on.
    pub fn admit(&mut self, name: &str, work: &str, token: String) -> Happening {
        let mut tokens = self.nodes.remove(name).map(|old| old.tokens).unwrap_or_default();
        tokens.push(token);
        if tokens.len() > TOKENS {
            tokens.remove(0);
        }
        let node = Node {
            name: name.into(),
            work: work.into(),
            state: State::Booting,
            step: String::new(),
            text: String::new(),
            bytes: 0,
            report: Value::Null,
            quiet: 0.0,
            heard: Instant::now(),
            tokens,
            run: String::new(),
            number: 0,
        };
        self.nodes.insert(name.into(), node);
        happening("boot", name, work)
    }

    /// Whose token it is.
    pub fn name_of(&self, token: &str) -> Option<String> {
        let node = self.nodes.values().find(|node| node.tokens.iter().any(|known| known == token))?;
        Some(node.name.clone())
    }

    /// A connection: the node's name and the last number that is known of this run; none for a token of no boot. A run that is new
    /// begins its work anew, whatever became of the one before.
    pub fn hello(&mut self, token: &str, run: &str) -> Option<(String, u64, Option<Happening>)> {
        let node = self.nodes.values_mut().find(|node| node.tokens.iter().any(|known| known == token))?;
        if node.run != run {
            (node.run, node.number, node.state) = (run.into(), 0, State::Booting);
        }
        let back = node.hear();
        Some((node.name.clone(), node.number, back))
    }

    /// What is new of that; nothing at all for a run that is not this node's any more.
    pub fn alive(&mut self, name: &str, run: &str, bytes: u64) -> Option<Vec<Happening>> {
        let node = self.nodes.get_mut(name).filter(|node| node.run == run)?;
        node.bytes = bytes;
        Some(node.hear().into_iter().collect())
    }

    /// The next number that counts, and what is new; an event that is known already is nothing new.
    pub fn event(&mut self, name: &str, run: &str, event: Event) -> Option<(u64, Vec<Happening>)> {
        let node = self.nodes.get_mut(name).filter(|node| node.run == run)?;
        let mut new: Vec<Happening> = node.hear().into_iter().collect();
        if event.number <= node.number {
            return Some((node.number, new));
        }
        let lost = event.number - node.number - 1;
        if lost > 0 {
            new.push(happening(
                "warn",
                name,
                &format!("{lost} lines of this node were lost: it was without a server for too long"),
            ));
        }
        node.number = event.number;
        let word = match event.kind {
            Kind::Info => "info",
            Kind::Step => "step",
            Kind::Warn => "warn",
            Kind::Error => "error",
            Kind::Done => "done",
            Kind::Failed => "failed",
        };
        match event.kind {
            Kind::Step => node.step.clone_from(&event.text),
            Kind::Done => node.state = State::Done,
            Kind::Failed => node.state = State::Failed,
            _ => {}
        }
        if event.kind == Kind::Done {
            node.report.clone_from(&event.report);
        } else {
            node.text.clone_from(&event.text);
        }
        new.push(Happening { at: event.at, report: event.report, ..happening(word, &node.name, &event.text) });
        Some((node.number, new))
    }

    /// Those that were heard last longer ago than the bound for their state.
    pub fn silent(&mut self, running: Duration, booting: Duration) -> Vec<Happening> {
        let mut new = Vec::new();
        for node in self.nodes.values_mut() {
            let (bound, since) = match node.state {
                State::Booting => (booting, "it was told to boot"),
                State::Running => (running, "its last word"),
                _ => continue,
            };
            let quiet = node.heard.elapsed();
            if quiet >= bound {
                let doing = if node.step.is_empty() { &node.work } else { &node.step };
                let text = format!("nothing heard for {} s since {since}: {doing}", quiet.as_secs());
                node.state = State::Silent;
                new.push(happening("silent", &node.name, &text));
            }
        }
        new
    }

    pub fn nodes(&self) -> Vec<Node> {
        self.nodes.values().map(|node| Node { quiet: node.heard.elapsed().as_secs_f64(), ..node.clone() }).collect()
    }
}

impl Node {
    fn hear(&mut self) -> Option<Happening> {
        self.heard = Instant::now();
        let was = std::mem::replace(&mut self.state, State::Running);
        match was {
            State::Done | State::Failed => {
                self.state = was;
                None
            }
            State::Silent => Some(happening("back", &self.name, "heard again")),
            _ => None,
        }
    }
}
