use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;

use crate::support::{Edge, Endpoint, eventually};

use super::{GET, OK, fleet};

const CLIENTS: usize = 8;

/// Answers after a moment, so that requests are in flight at any time.
async fn brief() -> Endpoint {
    Endpoint::scripted(|mut exchange| async move {
        tokio::time::sleep(Duration::from_millis(2)).await;
        exchange.send(OK).await;
        Some(exchange)
    })
    .await
}

#[derive(Default)]
struct Tally {
    good: AtomicUsize,
    failed: AtomicUsize,
}

impl Tally {
    fn good(&self) -> usize {
        self.good.load(Ordering::Relaxed)
    }

    fn failed(&self) -> usize {
        self.failed.load(Ordering::Relaxed)
    }
}

async fn ask_forever(edge: Arc<Edge>, tally: Arc<Tally>) {
    loop {
        let mut client = edge.connect().await;
        loop {
            client.send(GET).await;
            let status = client.response().await.status;
            if status != 200 {
                tally.failed.fetch_add(1, Ordering::Relaxed);
                break;
            }
            tally.good.fetch_add(1, Ordering::Relaxed);
        }
    }
}

#[tokio::test]
async fn an_endpoint_that_dies_takes_only_what_it_had_in_flight() {
    let (dying, good) = (brief().await, brief().await);
    let config = fleet("balance: round_robin,", &[&dying.address(), &good.address()]);
    let edge = Arc::new(Edge::start(&config).await);
    let tally = Arc::new(Tally::default());
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        clients.spawn(ask_forever(edge.clone(), tally.clone()));
    }
    eventually("the load is on", async || tally.good() >= 200).await;
    assert_eq!(tally.failed(), 0);
    let asked = dying.requests().len();
    assert!(asked > 0);
    drop(dying);
    eventually("the load goes on", async || tally.good() >= 1000).await;
    assert!(tally.failed() <= CLIENTS, "{} of {} failed", tally.failed(), tally.good());
}
