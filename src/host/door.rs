//! The one door: every primitive that changes the world goes through [`Host::perform`].

use std::time::Instant;

use super::{Fault, Host, Result, journal};

/// How much an effect can hurt. The plan prints it, and from `Destroy` on a guard belongs to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Weight {
    /// Opens or starts something that ends with the run: a port, a mount, an attached disk.
    Open,
    /// Changes something that can be changed back: a file, a step, a setting.
    Change,
    /// Overwrites data that cannot be brought back: a table, a filesystem, a raw disk.
    Destroy,
}

type Guard<'a> = Box<dyn FnOnce() -> Result<()> + 'a>;

/// What is about to be done, in words that make sense in a journal.
pub struct Effect<'a> {
    /// `module.verb`, as the script writes it: `table.write`, `fs.mkfs`.
    pub verb: &'static str,
    /// What it is done to: a device, a file, an address.
    pub object: String,
    pub weight: Weight,
    /// Last look before the act; refuses with a fault (a disk in use).
    guard: Option<Guard<'a>>,
}

impl<'a> Effect<'a> {
    pub fn new(verb: &'static str, object: impl Into<String>, weight: Weight) -> Self {
        Effect { verb, object: object.into(), weight, guard: None }
    }

    pub fn guard(mut self, guard: impl FnOnce() -> Result<()> + 'a) -> Self {
        self.guard = Some(Box::new(guard));
        self
    }
}

/// What an effect would have returned had it been done: a plan says instead of doing, and the script goes on with
/// this value. Every result type of the door has one, so that a plan needs no word from any primitive.
pub trait Planned: Sized {
    /// An effect whose result nobody can foresee (what a command prints) says so by a fault.
    fn planned(effect: &Effect<'_>) -> Result<Self> {
        Err(Fault::new(
            "host.unplanned",
            format!("what `{}` of {} brings cannot be planned", effect.verb, effect.object),
        ))
    }
}

impl Planned for std::path::PathBuf {}

impl Planned for () {
    fn planned(_: &Effect<'_>) -> Result<Self> {
        Ok(())
    }
}

impl Host {
    /// Does one effect: guard first, then the act, then the journal line, whatever the outcome.
    ///
    /// # Errors
    /// The guard's fault, the act's, or `host.stopped` when Ctrl-C came before the act began.
    pub fn perform<T: Planned>(&self, effect: Effect<'_>, act: impl FnOnce() -> Result<T>) -> Result<T> {
        self.check()?;
        let Effect { verb, object, guard, .. } = effect;
        let (time, start) = (std::time::SystemTime::now(), Instant::now());
        let result = guard.map_or(Ok(()), |look| look()).and_then(|()| act());
        self.journal().write(&journal::Entry::new(time, start.elapsed(), verb, &object, result.as_ref().err()))?;
        result
    }

    /// Writes down a happening that no script asked for: a lease given, a file served, a hold released.
    pub fn note(&self, verb: &str, object: &str, failed: Option<&Fault>) {
        if !self.journal().is_open() {
            return;
        }
        let entry = journal::Entry::new(std::time::SystemTime::now(), Default::default(), verb, object, failed);
        if let Err(fault) = self.journal().write(&entry) {
            self.log(super::Level::Warn, &fault.message);
        }
    }
}
