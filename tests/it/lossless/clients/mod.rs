//! Clients of every kind. Each goes on until it is told to stop, minds what it is told about its connections, and tells
//! what failed.

mod downloads;
mod grpc;
mod http1;
mod http2;
mod posts;
mod requests;
mod streams;
mod tcp;
mod udp;
mod websocket;

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rustls::ClientConfig;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::support::{PATIENCE, eventually};

use super::site::Addresses;
use super::tally::Tally;

pub(super) use http1::{Http1, secure};

/// How long a client rests after each thing that it did.
const REST: Duration = Duration::from_millis(8);
/// So much each kind does at least before the next thing changes.
const STEPS: u64 = 5;

/// How the clients of a kind behave.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// To an endpoint and not to the edge, so that it tells what this machine loses on its own.
    Direct,
    KeepAlive,
    Connections,
    Handshakes,
    Posts,
    Http2,
    Grpc,
    WebSocket,
    Downloads,
    Tcp,
    Udp,
}

/// The kinds, their names, and how many clients there are of each.
const KINDS: [(Kind, &str, usize); 11] = [
    (Kind::Direct, "direct", 4),
    (Kind::KeepAlive, "keep-alive", 4),
    (Kind::Connections, "connections", 3),
    (Kind::Handshakes, "handshakes", 2),
    (Kind::Posts, "posts", 4),
    (Kind::Http2, "http/2", 2),
    (Kind::Grpc, "grpc", 4),
    (Kind::WebSocket, "websocket", 4),
    (Kind::Downloads, "downloads", 3),
    (Kind::Tcp, "tcp", 4),
    (Kind::Udp, "udp", 4),
];

/// All clients at work.
pub(super) struct Clients {
    cue: Arc<Cue>,
    tallies: Vec<Arc<Tally>>,
    tasks: JoinSet<()>,
}

/// What all clients are told.
#[derive(Default)]
struct Cue {
    stop: AtomicBool,
    /// Streams that began in an earlier generation end some time after the next has begun.
    generation: AtomicU64,
}

/// What one client goes by.
#[derive(Clone)]
struct Assignment {
    addresses: Addresses,
    trust: Trust,
    cue: Arc<Cue>,
    tally: Arc<Tally>,
    /// It is no other client's.
    number: u64,
}

/// How clients that speak TLS go about it.
#[derive(Clone)]
pub(super) struct Trust {
    pub(super) http1: Arc<ClientConfig>,
    pub(super) http2: Arc<ClientConfig>,
}

impl Clients {
    /// Starts them; `batch` tells them from those that went before.
    pub(super) fn start(addresses: Addresses, trust: &Trust, batch: u64) -> Self {
        let (cue, mut tasks, mut tallies) = (Arc::<Cue>::default(), JoinSet::new(), Vec::new());
        let mut number = batch * 1000;
        for (kind, name, count) in KINDS {
            let tally = Arc::new(Tally::new(name));
            for _ in 0..count {
                number += 1;
                let (cue, tally, trust) = (cue.clone(), tally.clone(), trust.clone());
                tasks.spawn(kind.run(Assignment { addresses, trust, cue, tally, number }));
            }
            tallies.push(tally);
        }
        Self { cue, tallies, tasks }
    }

    /// Waits until clients of each kind have done something more.
    pub(super) async fn go_on(&self) {
        let before: Vec<_> = self.tallies.iter().map(|tally| tally.steps()).collect();
        for (tally, before) in self.tallies.iter().zip(before) {
            let has_gone_on = async || tally.steps() >= before + STEPS || tally.failures() > 0;
            eventually(&format!("{} goes on", tally.kind()), has_gone_on).await;
        }
    }

    /// Has long streams end and begin anew, so that those with an old process do not keep it for ever.
    pub(super) fn move_on(&self) {
        self.cue.generation.fetch_add(1, Ordering::Relaxed);
    }

    /// Lets everybody finish what is begun.
    pub(super) async fn finish(self) -> Finished {
        self.cue.stop.store(true, Ordering::Relaxed);
        timeout(2 * PATIENCE, self.tasks.join_all()).await.expect("all clients finish");
        Finished { tallies: self.tallies }
    }
}

/// What became of everything.
pub(super) struct Finished {
    tallies: Vec<Arc<Tally>>,
}

impl Finished {
    /// Prints what there was, and fails unless all went well.
    pub(super) fn without_a_loss(&self) {
        let lines: Vec<_> = self.tallies.iter().map(ToString::to_string).collect();
        let told = lines.join("\n");
        println!("{told}");
        let all_went_well = self.tallies.iter().all(|tally| tally.failures() == 0 && tally.successes() > 0);
        assert!(all_went_well, "not everything went well:\n{told}");
    }

    /// How many posts were answered.
    pub(super) fn posts(&self) -> u64 {
        let posts = KINDS.iter().position(|(kind, ..)| *kind == Kind::Posts).unwrap();
        self.tallies[posts].successes()
    }

    /// The kinds in which nothing went well for so much longer than in what does without the edge.
    pub(super) fn gaps(&self, allowed: Duration) -> Vec<String> {
        let [direct, through @ ..] = &self.tallies[..] else { panic!("there are clients") };
        let bound = direct.gap().length + allowed;
        let long = through.iter().filter(|tally| tally.gap().length > bound);
        long.map(|tally| format!("{}: {}", tally.kind(), tally.gap())).collect()
    }
}

impl Kind {
    fn run(self, assignment: Assignment) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        match self {
            Self::Direct => {
                let web = assignment.addresses.direct;
                let addresses = Addresses { web, ..assignment.addresses };
                Box::pin(requests::keep_alive(Assignment { addresses, ..assignment }))
            }
            Self::KeepAlive => Box::pin(requests::keep_alive(assignment)),
            Self::Connections => Box::pin(requests::connections(assignment)),
            Self::Handshakes => Box::pin(requests::handshakes(assignment)),
            Self::Posts => Box::pin(posts::run(assignment)),
            Self::Http2 => Box::pin(http2::run(assignment)),
            Self::Grpc => Box::pin(streams::run::<grpc::Call>(assignment)),
            Self::WebSocket => Box::pin(streams::run::<websocket::Chat>(assignment)),
            Self::Downloads => Box::pin(downloads::run(assignment)),
            Self::Tcp => Box::pin(streams::run::<tcp::Connection>(assignment)),
            Self::Udp => Box::pin(streams::run::<udp::Flow>(assignment)),
        }
    }
}

impl Assignment {
    fn goes_on(&self) -> bool {
        !self.cue.stop.load(Ordering::Relaxed)
    }

    fn generation(&self) -> u64 {
        self.cue.generation.load(Ordering::Relaxed)
    }

    async fn rest(&self) {
        sleep(REST).await;
    }
}

/// The outcome of a step, which may not take for ever.
async fn in_time<T, E: std::fmt::Display>(
    what: &str,
    step: impl Future<Output = Result<T, E>>,
) -> Result<T, String> {
    match timeout(PATIENCE, step).await {
        Ok(outcome) => outcome.map_err(|error| format!("{what}: {error}")),
        Err(_) => Err(format!("{what}: takes for ever")),
    }
}
