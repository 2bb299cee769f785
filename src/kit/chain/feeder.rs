//! The links of one machine to those behind it, made and ended as the server says.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::lane::Lane;
use super::link;
use super::message::Child;
use super::proof::Secret;
use super::store::Store;

/// A link that is over.
pub struct Over {
    pub position: usize,
    pub epoch: u64,
    /// Why, where the node behind has not everything yet.
    pub result: Result<(), String>,
}

/// Between two tries of one link.
const PAUSE: Duration = Duration::from_millis(200);

pub struct Feeder {
    store: Arc<Store>,
    session: String,
    secret: Secret,
    local: Option<IpAddr>,
    /// The number of the interface that leads to the others, where addresses of one link are used.
    pub scope: u32,
    links: BTreeMap<usize, (u64, AbortHandle)>,
    lane: Lane,
    tasks: JoinSet<()>,
    tell: mpsc::UnboundedSender<Over>,
}

impl Feeder {
    pub fn new(
        store: Arc<Store>,
        session: &str,
        secret: &Secret,
        local: Option<IpAddr>,
    ) -> (Feeder, mpsc::UnboundedReceiver<Over>) {
        let (tell, over) = mpsc::unbounded_channel();
        let feeder = Feeder {
            store,
            session: session.to_string(),
            secret: secret.clone(),
            local,
            scope: 0,
            links: BTreeMap::new(),
            lane: Lane::start(),
            tasks: JoinSet::new(),
            tell,
        };
        (feeder, over)
    }

    /// From now on these are fed and nobody else.
    pub fn feed(&mut self, next: Vec<Child>) {
        let wanted: Vec<(usize, u64)> = next.iter().map(|next| (next.position, next.epoch)).collect();
        self.store.change(|ledger| ledger.feed(&wanted));
        self.links.retain(|position, (epoch, task)| {
            let stays = wanted.contains(&(*position, *epoch));
            if !stays {
                task.abort();
            }
            stays
        });
        for mut next in next {
            if let SocketAddr::V6(address) = &mut next.address
                && address.ip().is_unicast_link_local()
                && self.scope != 0
            {
                // The number that the server knows this link by is not the one here.
                address.set_scope_id(self.scope);
            }
            if self.links.contains_key(&next.position) {
                continue;
            }
            let (position, epoch) = (next.position, next.epoch);
            let (store, session, tell) = (self.store.clone(), self.session.clone(), self.tell.clone());
            let (secret, local) = (self.secret.clone(), self.local);
            let work = async move {
                tokio::time::sleep(PAUSE * next.tries.saturating_sub(1)).await;
                let result = link::feed(&next, &session, &secret, local, &store).await;
                let _ = tell.send(Over { position, epoch, result });
            };
            let task = self.tasks.spawn_on(work, self.lane.runtime());
            self.links.insert(position, (epoch, task));
        }
        while self.tasks.try_join_next().is_some() {}
    }

    /// Where the machine's other data connection lives, too.
    pub fn lane(&self) -> &Lane {
        &self.lane
    }

    pub async fn shutdown(&mut self) {
        self.tasks.shutdown().await;
    }
}
