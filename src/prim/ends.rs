//! Sources and sinks as script values: good for one pass.

use std::sync::{Arc, Mutex};

use crate::host::{Fault, Result};
use crate::kit::stream::{Sink, Source};

/// An end of a stream in a script. Copies are the same end: whoever takes it first has it.
pub struct End<T: ?Sized>(Arc<Inner<T>>);

struct Inner<T: ?Sized> {
    name: String,
    end: Mutex<Option<Box<T>>>,
}

impl<T: ?Sized> Clone for End<T> {
    fn clone(&self) -> Self {
        End(self.0.clone())
    }
}

pub type SourceValue = End<dyn Source>;
pub type SinkValue = End<dyn Sink>;

impl SourceValue {
    pub fn new(source: Box<dyn Source>) -> Self {
        End(Arc::new(Inner { name: source.describe(), end: Mutex::new(Some(source)) }))
    }
}

impl SinkValue {
    pub fn new(sink: Box<dyn Sink>) -> Self {
        End(Arc::new(Inner { name: sink.describe(), end: Mutex::new(Some(sink)) }))
    }
}

impl<T: ?Sized> End<T> {
    /// What it is, for people: `tar of /usr`.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// # Errors
    /// `stream.used`: it was taken before.
    pub fn take(&self) -> Result<Box<T>> {
        self.0.end.lock().ok().and_then(|mut end| end.take()).ok_or_else(|| {
            Fault::new("stream.used", format!("`{}` was used before", self.0.name))
                .hint("a source or sink is good for one pass: make a new one for each")
        })
    }
}

impl<T: ?Sized> std::fmt::Display for End<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0.name)
    }
}
