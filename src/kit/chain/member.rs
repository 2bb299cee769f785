//! A node as the server sees it.

use std::net::SocketAddr;

use tokio::time::{Duration, Instant};

use super::gate::Arrival;
use super::message::{Want, clean};
use super::peer::Peer;
use super::report::{Failure, NodeProgress, NodeReport, speed};

/// Seconds that others wait for a sink before it is named.
const MOMENT: f64 = 2.0;
/// A sink for which nobody waited for so long is slow no more. A shorter pause is one piece that it took.
const EASE: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// May still say something; with a failure, it only relays.
    Active,
    /// Has it all.
    Done,
    /// Will say nothing more.
    Out,
}

/// Others wait for a sink.
pub struct Wait {
    since: Instant,
    last: Instant,
    /// Bytes that it had taken when that began.
    from: u64,
}

pub struct Member {
    /// In the order of joining; events bear it.
    pub id: usize,
    pub peer: Option<Peer>,
    /// Where it takes data.
    pub data: SocketAddr,
    pub state: State,
    /// Bytes it has received.
    pub received: u64,
    /// The last order about whom it feeds.
    pub seq: u64,
    pub slow: Option<Wait>,
    pub named: bool,
    /// Its copy is whole, whatever becomes of it now.
    pub whole: bool,
    /// What of the stream it wants.
    pub want: Want,
    /// Milliseconds that its sink has spent in writes.
    pub busy: u64,
    /// It was told to leave because others waited for its sink, which took so many MB/s.
    pub evicted: Option<f64>,
    pub report: NodeReport,
    pub key: String,
}

impl Member {
    pub fn new(id: usize, peer: Peer, arrival: (String, SocketAddr, u16), want: Want, joined: f64) -> Self {
        let (name, address, port) = arrival;
        let mut data = address;
        data.set_port(port);
        let report = NodeReport { name, address: address.ip().to_string(), joined, round: 1, ..NodeReport::default() };
        Member {
            id,
            peer: Some(peer),
            data,
            state: State::Active,
            received: 0,
            seq: 0,
            slow: None,
            named: false,
            whole: false,
            want,
            busy: 0,
            evicted: None,
            report,
            key: super::proof::nonce(),
        }
    }

    /// One that said it will not come.
    pub fn declined(who: (String, SocketAddr, u16), reason: String, joined: f64) -> Self {
        let (name, address, _) = who;
        let failure = Some(Failure { kind: "chain.declined".into(), message: reason });
        let report = NodeReport { name, address: address.ip().to_string(), joined, failure, ..NodeReport::default() };
        Member {
            id: usize::MAX,
            peer: None,
            data: address,
            state: State::Out,
            received: 0,
            seq: 0,
            slow: None,
            named: false,
            whole: false,
            want: Want::default(),
            busy: 0,
            evicted: None,
            report,
            key: String::new(),
        }
    }

    /// Name, address and port of who comes; the address is the name of one that has none.
    pub fn introduce(arrival: &Arrival) -> (String, SocketAddr, u16) {
        let name = arrival.hello.name.as_deref().map(clean).filter(|name| !name.trim().is_empty());
        (name.unwrap_or_else(|| arrival.address.ip().to_string()), arrival.address, arrival.hello.port)
    }

    /// `node2 (10.0.0.2)`
    pub fn label(&self) -> String {
        label(&self.report.name, &self.report.address)
    }

    pub fn is_active(&self) -> bool {
        self.state == State::Active
    }

    /// Its failure; the first one is the cause and stays.
    pub fn fail(&mut self, kind: &str, message: String) {
        if self.report.failure.is_none() {
            self.report.failure = Some(Failure { kind: kind.into(), message });
        }
    }

    /// Nothing more comes of it: the figures are final.
    pub fn close(&mut self, state: State, started: Option<Instant>) {
        self.state = state;
        self.report.seconds = started.map_or(0.0, |started| started.elapsed().as_secs_f64());
        self.report.mb_per_s = speed(self.report.bytes, self.report.seconds);
    }

    /// Whether others wait for its sink now.
    pub fn waits(&mut self, waits: bool, now: Instant) {
        match &mut self.slow {
            Some(wait) if waits => wait.last = now,
            Some(wait) if now.duration_since(wait.last) > EASE => self.slow = None,
            None if waits => self.slow = Some(Wait { since: now, last: now, from: self.report.bytes }),
            _ => {}
        }
    }

    /// The speed of its sink, while others wait for it longer than a moment.
    pub fn slowness(&self) -> Option<f64> {
        let wait = self.slow.as_ref()?;
        let seconds = wait.since.elapsed().as_secs_f64();
        (seconds >= MOMENT).then(|| speed(self.report.bytes.saturating_sub(wait.from), seconds))
    }

    /// What its sink takes when it is given enough, MB/s, as measured so far.
    pub fn able(&self) -> f64 {
        speed(self.report.bytes, self.busy.max(1) as f64 / 1000.0)
    }

    pub fn progress(&self) -> NodeProgress {
        NodeProgress {
            name: self.report.name.clone(),
            address: self.report.address.clone(),
            bytes: self.report.bytes,
            slow: self.slowness(),
            done: self.state == State::Done,
            failure: self.report.failure.clone(),
        }
    }
}

pub fn label(name: &str, address: &str) -> String {
    if name == address { name.to_string() } else { format!("{name} ({address})") }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How long others have waited by then, who look every 250 ms and see this.
    fn waited(looks: &[bool]) -> Option<f64> {
        let mut member = Member::declined(("n".into(), SocketAddr::from(([10, 0, 0, 1], 1)), 1), String::new(), 0.0);
        let mut now = Instant::now();
        for waits in looks {
            now += Duration::from_millis(250);
            member.waits(*waits, now);
        }
        member.slow.map(|wait| now.duration_since(wait.since).as_secs_f64())
    }

    #[test]
    fn one_look_without_waiting_does_not_make_a_sink_quick() {
        assert_eq!(waited(&[true, true, false, true, false, false, true]), Some(1.5));
        assert_eq!(waited(&[true, false, false, false, false, false]), None);
        assert_eq!(waited(&[true, false, false, false, false, false, true]), Some(0.0));
        assert_eq!(waited(&[false, false]), None);
    }
}
