//! Steps, wherever they are kept.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::remote::Remote;
use super::store::{Store, check_word};
use crate::host::{Fault, Host, Result, format_duration};
use crate::kit::nodeset;

/// How often a waiting store looks again. The files may lie on NFS, where no change is announced.
const POLL: Duration = Duration::from_millis(50);
/// The same over the network.
const POLL_REMOTE: Duration = Duration::from_secs(1);

/// A folder of this machine, or one of a server.
#[derive(Debug, Clone)]
pub enum Steps {
    Folder(Store),
    Remote(Remote),
}

impl Steps {
    /// The step of a host; `None` where it has no file, or an empty one.
    pub fn get(&self, kar: &Host, host: &str) -> Result<Option<String>> {
        match self {
            Steps::Folder(store) => store.get(host),
            Steps::Remote(remote) => kar.wait(remote.get(kar, host)),
        }
    }

    /// Replaces the step of a host at once.
    pub fn set(&self, kar: &Host, host: &str, word: &str) -> Result<()> {
        match self {
            Steps::Folder(store) => store.set(host, word),
            Steps::Remote(remote) => kar.wait(remote.set(host, word)),
        }
    }

    /// The folder, for what cannot be done from a node.
    ///
    /// # Errors
    /// `step.remote`
    pub fn folder(&self, what: &str) -> Result<&Store> {
        match self {
            Steps::Folder(store) => Ok(store),
            Steps::Remote(remote) => {
                let place = remote.place();
                Err(Fault::new("step.remote", format!("cannot {what} at {place}: a node reads and writes steps only"))
                    .hint("on the server: `step::open(dir)`"))
            }
        }
    }

    /// Where they are kept: a folder, or `server/dir`.
    pub fn place(&self) -> String {
        match self {
            Steps::Folder(store) => store.dir().to_string_lossy().into_owned(),
            Steps::Remote(remote) => remote.place(),
        }
    }

    /// Blocks until every host stands at `word`. No hosts: no wait.
    ///
    /// # Errors
    /// `step.timeout`: names those that do not, and where they stand; the report holds them as a map.
    pub fn wait(&self, kar: &Host, hosts: &[String], word: &str, timeout: Option<Duration>) -> Result<()> {
        check_word(word)?;
        let start = Instant::now();
        loop {
            let mut missing = BTreeMap::new();
            for host in hosts {
                let step = self.get(kar, host)?.unwrap_or_default();
                if step != word {
                    missing.insert(host.clone(), step);
                }
            }
            if missing.is_empty() {
                return Ok(());
            }
            if let Some(limit) = timeout.filter(|limit| start.elapsed() >= *limit) {
                return Err(late(hosts.len(), word, limit, missing));
            }
            kar.check()?;
            let pause = if matches!(self, Steps::Remote(_)) { POLL_REMOTE } else { POLL };
            std::thread::sleep(pause.min(timeout.unwrap_or(pause).saturating_sub(start.elapsed())));
        }
    }
}

fn late(hosts: usize, word: &str, limit: Duration, missing: BTreeMap<String, String>) -> Fault {
    let mut standing = BTreeMap::<&str, Vec<&str>>::new();
    for (host, step) in &missing {
        standing.entry(step).or_default().push(host);
    }
    let stand = |(step, hosts): (&&str, &Vec<&str>)| {
        let hosts = nodeset::fold(hosts.iter().copied());
        if step.is_empty() { format!("{hosts} (no step)") } else { format!("{hosts} ({step})") }
    };
    let mut names: Vec<String> = standing.iter().take(12).map(stand).collect();
    if standing.len() > names.len() {
        names.push(format!("{} other steps", standing.len() - names.len()));
    }
    let message = format!(
        "{} of {hosts} hosts did not reach step `{word}` within {}: {}",
        missing.len(),
        format_duration(limit),
        names.join(", ")
    );
    let report = missing.into_iter().map(|(host, step)| (host, step.into())).collect();
    Fault::new("step.timeout", message).with_report(serde_json::Value::Object(report))
}

#[cfg(test)]
mod tests {
    use super::super::Form;
    use super::*;
    use crate::host::Silent;
    use std::sync::Arc;

    #[test]
    fn waiting_ends_with_the_word_or_names_who_is_missing() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let host = Host::new(runtime.handle().clone(), Arc::new(Silent));
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(dir.path(), Form::Word, true).unwrap();
        store.set("node1", "ready").unwrap();
        let both = ["node1".to_string(), "node2".to_string()];
        let steps = Steps::Folder(store.clone());
        let fault = steps.wait(&host, &both, "ready", Some(Duration::from_millis(1))).unwrap_err();
        assert_eq!(fault.kind, "step.timeout");
        assert_eq!(fault.message, "1 of 2 hosts did not reach step `ready` within 1ms: node2 (no step)");
        let many: Vec<String> = (1..=9).map(|n| format!("node{n}")).collect();
        let fault = steps.wait(&host, &many, "lilo", Some(Duration::from_millis(1))).unwrap_err();
        let told = "9 of 9 hosts did not reach step `lilo` within 1ms: node[2-9] (no step), node1 (ready)";
        assert_eq!(fault.message, told);
        let other = store.clone();
        let setter = std::thread::spawn(move || other.set("node2", "ready"));
        steps.wait(&host, &both, "ready", Some(Duration::from_secs(60))).unwrap();
        setter.join().unwrap().unwrap();
        host.end().set();
        assert!(steps.wait(&host, &both, "never", None).unwrap_err().is_stopped());
    }
}
