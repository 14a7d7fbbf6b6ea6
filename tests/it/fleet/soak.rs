//! Endpoints that fail at random under load. Runs for three seconds; `make soak` runs it for two minutes.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::time::Duration;

use evener::types::Random;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::support::{Edge, Endpoint};

use super::{GET, OK, fleet};

const ENDPOINTS: usize = 4;
const CLIENTS: usize = 16;
/// How long an endpoint stays well before the one that was well so far may fail.
const OVERLAP: Duration = Duration::from_secs(3);
const KEYS: &str = "health: { http: { path: /health }, interval: 200ms, timeout: 150ms, fall: 2, rise: 1 },
    outlier: { eject: 300ms, max_eject: 1s, max_ejected: 100% }, slow_start: 500ms,
    retry: { attempts: 3, on: [connect, reset, timeout, 5xx], per_try: 200ms, budget: 100% },";

/// What an endpoint does at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
enum Mode {
    Well,
    /// Answers 503, to probes as well.
    Failing,
    /// Takes requests and answers none.
    Frozen,
    /// Hangs up on every request.
    Closing,
    /// Accepts no connection and has dropped those that it had.
    Down,
}

const ILL: [Mode; 4] = [Mode::Failing, Mode::Frozen, Mode::Closing, Mode::Down];

/// An endpoint that can be made to fail, on an address of its own that nothing else binds.
struct Flaky {
    address: SocketAddr,
    mode: Arc<AtomicU8>,
    running: Option<Endpoint>,
}

impl Flaky {
    async fn start(number: usize) -> Self {
        let listener = TcpListener::bind(format!("127.0.77.{number}:0")).await.unwrap();
        let mode = Arc::new(AtomicU8::new(Mode::Well as u8));
        let address = listener.local_addr().unwrap();
        Self { address, running: Some(serve(listener, mode.clone())), mode }
    }

    async fn turn(&mut self, mode: Mode) {
        self.mode.store(mode as u8, Ordering::Relaxed);
        if mode == Mode::Down {
            self.running = None;
        } else if self.running.is_none() {
            let listener = TcpListener::bind(self.address).await.unwrap();
            self.running = Some(serve(listener, self.mode.clone()));
        }
    }
}

fn serve(listener: TcpListener, mode: Arc<AtomicU8>) -> Endpoint {
    Endpoint::on(listener, move |mut exchange| {
        let mode = mode.clone();
        async move {
            let is = |other: Mode| mode.load(Ordering::Relaxed) == other as u8;
            while is(Mode::Frozen) {
                sleep(Duration::from_millis(5)).await;
            }
            if is(Mode::Closing) {
                return None;
            }
            let busy = "HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
            exchange.send(if is(Mode::Failing) { busy } else { OK }).await;
            Some(exchange)
        }
    })
}

/// Lets all endpoints but one fail and recover at random, and changes that one now and then.
async fn flap(mut endpoints: Vec<Flaky>, mut random: Random, until: Instant) {
    let mut anchor = 0;
    while Instant::now() < until {
        let next = (anchor + random.usize(1..ENDPOINTS)) % ENDPOINTS;
        let handover = Instant::now() + Duration::from_millis(random.u64(1000..3000));
        while Instant::now() < handover {
            let index = random.usize(0..ENDPOINTS);
            let mode = if random.bool() { Mode::Well } else { ILL[random.usize(0..ILL.len())] };
            if index != anchor {
                endpoints[index].turn(mode).await;
            }
            sleep(Duration::from_millis(random.u64(20..200))).await;
        }
        endpoints[next].turn(Mode::Well).await;
        sleep(OVERLAP).await;
        anchor = next;
    }
}

#[derive(Default)]
struct Tally {
    good: AtomicUsize,
}

async fn ask(edge: Arc<Edge>, tally: Arc<Tally>, until: Instant) {
    while Instant::now() < until {
        let mut client = edge.connect().await;
        while Instant::now() < until {
            client.send(GET).await;
            let response = client.response().await;
            if response.status != 200 {
                break;
            }
            tally.good.fetch_add(1, Ordering::Relaxed);
            // After so many requests the edge closes a connection, and says so.
            if response.header("connection") == Some("close") {
                break;
            }
            sleep(Duration::from_millis(2)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_fails_while_one_endpoint_is_fit() {
    let seconds = std::env::var("EVENER_SOAK").ok().map_or(3, |text| text.parse().unwrap());
    let mut endpoints = Vec::new();
    for number in 1..=ENDPOINTS {
        endpoints.push(Flaky::start(number).await);
    }
    let addresses: Vec<_> = endpoints.iter().map(|endpoint| &endpoint.address as _).collect();
    let edge = Arc::new(Edge::start(&fleet(KEYS, &addresses)).await);
    let until = Instant::now() + Duration::from_secs(seconds);
    let tally = Arc::new(Tally::default());
    let mut tasks = JoinSet::new();
    tasks.spawn(flap(endpoints, Random::with_seed(seconds), until));
    for _ in 0..CLIENTS {
        tasks.spawn(ask(edge.clone(), tally.clone(), until));
    }
    tasks.join_all().await;
    let good = tally.good.load(Ordering::Relaxed);
    let log = edge.log_of(good).await;
    let bad: Vec<_> = log.iter().filter(|line| line["status"] != 200).collect();
    println!("{good} requests succeeded, {} failed", bad.len());
    assert!(good > 100 && bad.is_empty(), "{good} succeeded, {} failed: {:#?}", bad.len(), bad.first());
}
