//! The node's side: what happened waits here until the server has it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::wire::{Event, FromNode, FromServer, Kind, LINE, VERSION, read_line, write_line};
use crate::host::{Fault, Result};

/// Events that wait for the server. Of a node that says more without one the oldest are forgotten.
const KEPT: usize = 20_000;
/// Of a text, bytes; a line has room for it however it is written.
const TEXT: usize = LINE / 8;
/// Between two signs of life.
const BEAT: Duration = Duration::from_secs(1);
/// For the server to answer, before the connection counts as broken.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two tries to connect, growing.
const PAUSES: [Duration; 3] = [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2)];

/// Takes what happens at any time, and tells it once it knows where to. Clones are the same one.
#[derive(Clone)]
pub struct Teller(Arc<Inner>);

struct Inner {
    run: String,
    started: std::time::Instant,
    queue: Mutex<Queue>,
    news: Notify,
    bytes: AtomicU64,
}

#[derive(Default)]
struct Queue {
    last: u64,
    waiting: VecDeque<Event>,
    refused: bool,
}

/// Seconds since the kernel's start.
fn uptime() -> f64 {
    let text = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or_default()
}

impl Default for Teller {
    fn default() -> Self {
        Teller(Arc::new(Inner {
            run: uuid::Uuid::new_v4().simple().to_string(),
            started: std::time::Instant::now(),
            queue: Mutex::default(),
            news: Notify::new(),
            bytes: AtomicU64::new(0),
        }))
    }
}

impl Teller {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn say(&self, kind: Kind, text: &str) {
        self.say_with(kind, text, Value::Null);
    }

    pub fn say_with(&self, kind: Kind, text: &str, report: Value) {
        let (report, left_out) = short(report);
        if !left_out.is_empty() {
            let names = left_out.join(", ");
            self.say(Kind::Warn, &format!("too long to be told, and left out of its report: {names}"));
        }
        let mut queue = self.queue();
        queue.last += 1;
        let event = Event { number: queue.last, at: uptime(), kind, text: cut(text), report };
        queue.waiting.push_back(event);
        // The server sees the gap in the numbers, and says so.
        if queue.waiting.len() > KEPT {
            queue.waiting.pop_front();
        }
        drop(queue);
        self.0.news.notify_one();
    }

    /// So many bytes of the work's stream more.
    pub fn advance(&self, bytes: u64) {
        self.0.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    /// How long this one has been there.
    pub fn age(&self) -> Duration {
        self.0.started.elapsed()
    }

    /// Tells the server all that happens, for ever; connects again whenever the connection breaks. Ends when the server
    /// wants nothing of this boot, with why.
    pub async fn tell(self, server: String, token: String) -> String {
        let mut tries = 0;
        loop {
            let since = Instant::now();
            match self.connected(&server, &token).await {
                Ok(why) => return why,
                Err(_) if since.elapsed() > PATIENCE => tries = 0,
                Err(_) => tries += 1,
            }
            sleep(PAUSES[tries.min(PAUSES.len() - 1)]).await;
        }
    }

    /// Waits until the server has all that was said, at most `limit`.
    pub async fn flush(&self, limit: Duration) {
        let end = Instant::now() + limit;
        loop {
            let over = {
                let queue = self.queue();
                queue.waiting.is_empty() || queue.refused
            };
            if over || Instant::now() >= end {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    }

    /// Until the server refuses, with why.
    async fn connected(&self, server: &str, token: &str) -> Result<String> {
        let fail = |error| Fault::io("watch.server", format_args!("connect to {server}"), error);
        let stream = timeout(PATIENCE, TcpStream::connect(server)).await.map_err(|_| late())?.map_err(fail)?;
        let _ = stream.set_nodelay(true);
        let (from, mut to) = stream.into_split();
        let mut from = BufReader::new(from);
        let hello = FromNode::Hello { version: VERSION, token: token.into(), run: self.0.run.clone() };
        write_line(&mut to, &hello).await?;
        let mut line = Vec::new();
        timeout(PATIENCE, read_line(&mut from, &mut line)).await.map_err(|_| late())??;
        let mut sent = match answer(&line)? {
            FromServer::Have { number } => number,
            FromServer::Refused { why } => {
                self.queue().refused = true;
                return Ok(cut(&why));
            }
        };
        self.forget(sent);
        line.clear();
        // When the oldest unanswered event went out.
        let mut asked: Option<Instant> = None;
        let mut beat = tokio::time::interval(BEAT);
        loop {
            let next = self.queue().waiting.iter().find(|event| event.number > sent).cloned();
            if let Some(event) = next {
                sent = event.number;
                timeout(PATIENCE, write_line(&mut to, &FromNode::Event(event))).await.map_err(|_| late())??;
                asked.get_or_insert_with(Instant::now);
            }
            let more = self.queue().last > sent;
            tokio::select! {
                // The line's beginning stays in `line` where this is dropped: cancel-safe.
                read = read_line(&mut from, &mut line) => {
                    if !read? {
                        return Err(Fault::new("watch.server", "the server closed the connection"));
                    }
                    let number = match answer(&line)? {
                        FromServer::Have { number } => number,
                        FromServer::Refused { why } => return Ok(cut(&why)),
                    };
                    line.clear();
                    self.forget(number);
                    asked = (number < sent).then(Instant::now);
                }
                () = std::future::ready(()), if more => {}
                () = self.0.news.notified() => {}
                _ = beat.tick() => {
                    if asked.is_some_and(|at| at.elapsed() > PATIENCE) {
                        return Err(late());
                    }
                    let alive = FromNode::Alive { bytes: self.0.bytes.load(Ordering::Relaxed) };
                    timeout(PATIENCE, write_line(&mut to, &alive)).await.map_err(|_| late())??;
                }
            }
        }
    }

    fn forget(&self, number: u64) {
        self.queue().waiting.retain(|event| event.number > number);
    }
}

fn late() -> Fault {
    Fault::new("watch.server", "the server does not answer")
}

fn answer(line: &[u8]) -> Result<FromServer> {
    serde_json::from_slice(line).map_err(|error| Fault::new("watch.line", format!("no line of a server: {error}")))
}

/// A report for which a line has room, and the names of what was left out of it, the longest first.
fn short(mut report: Value) -> (Value, Vec<String>) {
    let mut left_out = Vec::new();
    while report.to_string().len() > LINE / 2 {
        let Value::Object(fields) = &mut report else { return (Value::Null, vec!["all of it".into()]) };
        let longest = fields.iter().max_by_key(|(_, value)| value.to_string().len()).map(|(name, _)| name.clone());
        if let Some(name) = longest {
            fields.remove(&name);
            left_out.push(name);
        }
    }
    (report, left_out)
}

fn cut(text: &str) -> String {
    let mut end = text.len().min(TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_string()
}
