//! How the host speaks to a person. The display itself is the cli's: nothing here prints.

use std::sync::Arc;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    Trace,
    Info,
    /// A heading: the flow enters a new part.
    Step,
    Warn,
    Error,
}

/// Implemented by the cli (terminal or pipe), by the tests, and later by a node that reports to its server.
pub trait Console: Send + Sync {
    /// `label` names the node the line is about.
    fn log(&self, level: Level, label: Option<&str>, text: &str);

    /// Data that the script prints, for standard output.
    fn print(&self, text: &str);

    /// Starts a progress line; it ends when the last clone of the meter is dropped.
    fn meter(&self, label: Option<&str>, title: &str, total: Option<u64>) -> Meter;
}

/// One progress line. Cheap to clone and to advance from any thread.
#[derive(Clone)]
pub struct Meter(Arc<dyn Display>);

/// The moving parts of a [`Meter`]; implemented beside a [`Console`].
pub trait Display: Send + Sync {
    fn advance(&self, bytes: u64);
    fn say(&self, text: &str);
}

impl Meter {
    pub fn new(display: impl Display + 'static) -> Self {
        Meter(Arc::new(display))
    }

    pub fn advance(&self, bytes: u64) {
        self.0.advance(bytes);
    }

    pub fn say(&self, text: &str) {
        self.0.say(text);
    }
}

/// Says nothing: for tests of parts that have nobody to talk to.
pub struct Silent;

impl Console for Silent {
    fn log(&self, _: Level, _: Option<&str>, _: &str) {}

    fn print(&self, _: &str) {}

    fn meter(&self, _: Option<&str>, _: &str, _: Option<u64>) -> Meter {
        Meter::new(Silent)
    }
}

impl Display for Silent {
    fn advance(&self, _: u64) {}
    fn say(&self, _: &str) {}
}
