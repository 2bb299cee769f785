//! Where the server lets nodes in: a bad guest is told why, a stranger is dropped, nobody holds up another.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};

use super::Notes;
use super::channel::Channel;
use super::handshake::{Guest, hear, refuse, welcome};
use super::message::{Hello, Message, Role, clean};
use super::offer::Shared;
use super::socket::canonical;
use super::wire::write_message;
use crate::host::{Fault, Level, Result};

/// Connections that are being looked at, at one time. Each is over within [`super::HELLO`].
const GUESTS: usize = 256;
/// Notes about unwelcome guests; a flood of them must not be a flood of lines.
const WORDS: usize = 20;

/// A limit on how much is said about strangers at one door.
pub struct Doorkeeper {
    notes: Notes,
    said: AtomicUsize,
}

impl Doorkeeper {
    pub fn new(notes: Notes) -> Self {
        Doorkeeper { notes, said: AtomicUsize::new(0) }
    }

    pub fn say(&self, text: &str) {
        match self.said.fetch_add(1, Ordering::Relaxed) {
            n if n < WORDS => (self.notes)(Level::Warn, text),
            WORDS => (self.notes)(Level::Warn, "more unwelcome connections; no more is said about them"),
            _ => {}
        }
    }
}

/// Accepts for ever and gives each connection to `treat`, side by side. Ends only by being dropped, and all that it
/// treats with it.
pub async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    treat: impl Fn(TcpStream, std::net::SocketAddr) -> F,
) {
    let room = Arc::new(Semaphore::new(GUESTS));
    let mut guests = tokio::task::JoinSet::new();
    loop {
        let Ok(place) = room.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, from)) => {
                let _ = stream.set_nodelay(true);
                let treated = treat(stream, canonical(from));
                guests.spawn(async move {
                    treated.await;
                    drop(place);
                });
            }
            // Out of descriptors, or a guest who left while waiting: both pass.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
        while guests.try_join_next().is_some() {}
    }
}

/// A node that was let in.
pub struct Arrival {
    /// `None` for one that declines.
    pub stream: Option<Channel>,
    pub hello: Hello,
    pub address: std::net::SocketAddr,
}

/// The server's door, open as long as the session is.
pub async fn open(listener: TcpListener, shared: Arc<Shared>, arrivals: mpsc::Sender<Arrival>) {
    let keeper = Arc::new(Doorkeeper::new(shared.notes.clone()));
    accept(listener, |stream, from| {
        let (shared, arrivals, keeper) = (shared.clone(), arrivals.clone(), keeper.clone());
        async move {
            let mut stream = Channel::new(stream);
            match hear(&mut stream, &shared.secret, |hello| judge(&shared, hello)).await {
                Err(fault) => keeper.say(&format!("{from} was not let in: {}", fault.message)),
                Ok(guest) => admit(stream, from, guest, &shared, &arrivals).await,
            }
        }
    })
    .await;
}

fn judge(shared: &Shared, hello: &Hello) -> Result<()> {
    if let Some(wanted) = hello.session.as_deref().filter(|wanted| *wanted != shared.session) {
        let text = format!("the session here is `{}`, not `{}`", shared.session, clean(wanted));
        return Err(Fault::new("chain.session", text));
    }
    match hello.role {
        Role::Node if hello.port != 0 && hello.nonce.len() <= 64 => Ok(()),
        Role::Start | Role::Decline if hello.nonce.len() <= 64 => Ok(()),
        _ => Err(Fault::new("chain.hello", "a hello that has no place here")),
    }
}

async fn admit(
    mut stream: Channel,
    from: std::net::SocketAddr,
    guest: Guest,
    shared: &Shared,
    arrivals: &mpsc::Sender<Arrival>,
) {
    if guest.hello.role == Role::Start {
        match shared.start() {
            Err(fault) => refuse(&mut stream, &fault).await,
            Ok(()) => {
                (shared.notes)(Level::Info, &format!("{from} says: start"));
                if welcome(&mut stream, &guest, &shared.session, 0).await {
                    let _ = write_message(&mut stream, &Message::Started).await;
                }
            }
        }
        return;
    }
    if guest.hello.role == Role::Decline {
        if welcome(&mut stream, &guest, &shared.session, 0).await {
            let _ = arrivals.send(Arrival { stream: None, hello: guest.hello, address: from }).await;
            let _ = write_message(&mut stream, &Message::Bye).await;
        }
        return;
    }
    if shared.started() && !shared.takes_late {
        let text = format!("session `{}` has started without it", shared.session);
        (shared.notes)(Level::Warn, &format!("{from} came late"));
        return refuse(&mut stream, &Fault::new("chain.late", text)).await;
    }
    if welcome(&mut stream, &guest, &shared.session, 0).await {
        let _ = arrivals.send(Arrival { stream: Some(stream), hello: guest.hello, address: from }).await;
    }
}
