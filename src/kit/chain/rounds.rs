//! Nodes that come late: they get the whole stream in a round of their own, at once.

use std::sync::Arc;

use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::JoinHandle;
use tokio::time::{Duration, Instant, sleep_until};

use super::SILENCE;
use super::gate::Arrival;
use super::offer::{OfferOptions, Shared, Slow};
use super::pack::Compress;
use super::report::{Failure, NodeReport, Phase, Report};
use super::session::Session;
use crate::host::{Cancel, Level, Result, Worker};
use crate::kit::stream::Again;

/// As long as a session may last.
const FOREVER: Duration = Duration::from_secs(365 * 24 * 3600);

/// Whoever comes so soon after the first one of a round is in it, too.
const TOGETHER: Duration = Duration::from_secs(1);

/// What happens to those who come after the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rounds {
    /// As long as others are fed, they get a round of their own.
    Late,
    /// The session stays open for them, until it is told to start once more, or its time is over.
    Keep,
}

struct Round {
    /// Begins when the stream to the others is through.
    afterwards: bool,
    shared: Arc<Shared>,
    arrivals: mpsc::Sender<Arrival>,
    task: JoinHandle<Result<Report>>,
}

/// The rounds after the first one.
pub struct Later {
    again: Option<Again>,
    options: OfferOptions,
    shared: Arc<Shared>,
    pub cancel: Cancel,
    worker: Worker,
    rounds: Vec<Round>,
    /// How long those who left to come back are waited for.
    patience: Duration,
}

impl Later {
    pub fn new(
        again: Option<Again>,
        options: OfferOptions,
        shared: Arc<Shared>,
        cancel: Cancel,
        worker: Worker,
    ) -> Self {
        Later { again, options, shared, cancel, worker, rounds: Vec::new(), patience: SILENCE }
    }

    /// Takes a node into the round that gathers, or into a new one; gives it back where there can be none.
    pub fn take(&mut self, arrival: Arrival) -> Option<Arrival> {
        // One that declines now is missed by nobody.
        arrival.stream.as_ref()?;
        let afterwards = arrival.hello.back;
        if afterwards {
            self.shared.absent.back();
        }
        let gathering = |round: &&Round| round.afterwards == afterwards && round.shared.view().0 == Phase::Gathering;
        let arrival = match self.rounds.iter().find(gathering) {
            Some(round) => match round.arrivals.try_send(arrival) {
                Ok(()) => return None,
                Err(TrySendError::Full(back) | TrySendError::Closed(back)) => back,
            },
            None => arrival,
        };
        let Some(again) = &self.again else { return Some(arrival) };
        let source = match again() {
            Ok(source) => source,
            Err(fault) => {
                (self.shared.notes)(Level::Error, &format!("the source cannot be read again: {}", fault.message));
                return Some(arrival);
            }
        };
        let shared = self.shared.round();
        let mut options =
            OfferOptions { nodes: None, start_after: Some(TOGETHER), slow: Slow::Wait, ..self.options.clone() };
        if afterwards {
            // Nodes of one round may stand at different places, and a packed frame cannot be cut in two.
            (options.start_after, options.timeout, options.compress) = (None, FOREVER, Compress::Off);
        }
        let (arrivals, queue) = mpsc::channel(1024);
        let session = Session::new(shared.clone(), options, queue, self.cancel.child(), self.worker.clone());
        let (ended, number) = (shared.clone(), self.rounds.len() + 2);
        let who = if afterwards { "come back for the rest" } else { "come late" };
        (self.shared.notes)(Level::Info, &format!("a round {number} for those who {who}"));
        let task = tokio::spawn(async move {
            let outcome = session.run(source, None).await;
            ended.view().0 = Phase::Ended;
            outcome
        });
        let _ = arrivals.try_send(arrival);
        self.rounds.push(Round { afterwards, shared, arrivals, task });
        None
    }

    fn busy(&self) -> bool {
        self.rounds.iter().any(|round| !round.task.is_finished())
    }

    /// The stream to the others is through: those who left for it are served now. Where all of them are gone again the
    /// round ends: nothing else would end it.
    fn begin(&self) {
        for round in self.rounds.iter().filter(|round| round.afterwards && round.shared.view().0 == Phase::Gathering) {
            round.shared.begin();
        }
    }

    /// Stays open as long as a round goes on, or as the session is to be kept.
    pub async fn wait(&mut self, arrivals: &mut mpsc::Receiver<Arrival>) {
        let keep = self.options.rounds == Rounds::Keep;
        let deadline = self.shared.opened + self.options.timeout;
        let asked = self.shared.asked();
        let mut open = keep;
        let (begun, patience, absent) = (Instant::now(), self.patience, self.shared.absent.clone());
        let missing = || absent.awaited(begun, patience);
        while open || self.busy() || missing() {
            if !missing() {
                self.begin();
            }
            let look = (Instant::now() + Duration::from_millis(50)).min(deadline.max(Instant::now()));
            tokio::select! {
                Some(arrival) = arrivals.recv() => {
                    // The last ones: who is not taken, is told by the closed connection.
                    let _ = self.take(arrival);
                }
                () = self.cancel.cancelled() => return,
                () = self.shared.asked_again(asked), if open => open = false,
                () = sleep_until(look) => open = open && Instant::now() < deadline,
            }
        }
    }

    /// Adds what became of them. A node that failed and came back is whole.
    pub async fn report(self, report: &mut Report) {
        for (round, number) in self.rounds.into_iter().zip(2..) {
            drop(round.arrivals);
            let part = match round.task.await {
                Ok(Ok(part)) => part,
                Ok(Err(fault)) => match fault.report.and_then(|report| serde_json::from_value(*report).ok()) {
                    Some(part) => part,
                    // Nobody stayed until it began.
                    None => continue,
                },
                Err(_) => continue,
            };
            let part: Report = part;
            if report.digest.is_none() && part.digest.is_some() {
                // Nobody got anything in the first round.
                (report.digest, report.bytes) = (part.digest, part.bytes);
            }
            report.repairs.extend(part.repairs);
            for mut node in part.nodes {
                node.round = number;
                // Of a part there is no digest but that of the whole, which the node has made of all parts.
                if node.failure.is_none() && node.digest != report.digest {
                    let message = "its digest is not that of the stream".into();
                    node.failure = Some(Failure { kind: "chain.digest".into(), message });
                }
                let same = |before: &&NodeReport| (&before.name, &before.address) == (&node.name, &node.address);
                if let Some(before) = report.nodes.iter().find(same) {
                    (node.evicted, node.joined) = (node.evicted.or(before.evicted), before.joined);
                }
                report.nodes.retain(|before| {
                    before.failure.is_none() || (&before.name, &before.address) != (&node.name, &node.address)
                });
                report.nodes.push(node);
            }
        }
        report.complete = report.nodes.iter().filter(|node| node.failure.is_none()).count();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kit::stream::blob;

    fn later() -> Later {
        let options = OfferOptions::new("rounds");
        let shared = Shared::new(&options, &blob(Vec::new())).unwrap();
        Later::new(None, options, shared, Cancel::new(), Worker::current())
    }

    /// One that comes back twice: the second time it is missed after a round that took longer than anybody is waited for.
    #[tokio::test]
    async fn who_leaves_a_round_is_waited_for_as_long_as_who_left_the_chain() {
        let mut later = later();
        later.patience = Duration::from_millis(300);
        let (shared, absent) = (later.shared.round(), later.shared.absent.clone());
        shared.view().0 = Phase::Streaming;
        let task = tokio::spawn(async move {
            tokio::time::sleep(Duration::from_millis(400)).await;
            absent.leave();
            Err(crate::host::Fault::stopped())
        });
        let (arrivals, _) = mpsc::channel(1);
        later.rounds.push(Round { afterwards: true, shared, arrivals, task });
        let (_door, mut arrivals) = mpsc::channel(1);
        let since = Instant::now();
        later.wait(&mut arrivals).await;
        let waited = since.elapsed();
        assert!(waited >= Duration::from_millis(600), "it was waited for {waited:?}");
    }
}
