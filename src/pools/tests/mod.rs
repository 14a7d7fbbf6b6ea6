//! What a pool does as a whole, on a time that the tests move.

mod ejection;
mod handover;
mod membership;
mod succession;
mod succession_waiting;
mod tally;
mod waiting;

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use tokio::time::Instant;

use crate::hooks::{PickCx, Variables};
use crate::types::Random;

use super::testing::pool;
use super::{Endpoint, Fault, Health, Lease, Pick, Pool};

const THREE: &[&str] = &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80"];
const FOUR: &[&str] = &["10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80", "10.0.0.4:80"];
const LATENCY: Duration = Duration::from_millis(5);
const REFUSED: Health = Health::Unfit { is_reachable: false };
const FAILING: Health = Health::Unfit { is_reachable: true };

/// A pool, a clock that stands until it is moved, and a seed.
struct Stage {
    pool: Arc<Pool>,
    now: Instant,
    random: Random,
}

impl Stage {
    fn new(endpoints: &[&str], keys: &str) -> Self {
        let now = Instant::now();
        Self { pool: pool(endpoints, keys, now), now, random: Random::with_seed(7) }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn endpoint(&self, index: usize) -> &Arc<Endpoint> {
        &self.pool.endpoints()[index]
    }

    fn state(&self, index: usize) -> &'static str {
        self.endpoint(index).state().as_str()
    }

    fn states(&self) -> Vec<&'static str> {
        self.pool.endpoints().iter().map(|endpoint| endpoint.state().as_str()).collect()
    }

    fn pick(&mut self) -> Pick {
        self.pick_pinned(None)
    }

    fn pick_pinned(&mut self, pinned: Option<usize>) -> Pick {
        let headers = HeaderMap::new();
        let cx = pick_cx(self.now, &headers);
        self.pool.pick(&cx, pinned, &mut self.random)
    }

    fn lease(&mut self) -> Lease {
        match self.pick() {
            Pick::Endpoint(lease) => lease,
            other => panic!("no endpoint: {other:?}"),
        }
    }

    /// How many of a thousand requests, which end at once, each endpoint gets.
    fn shares(&mut self) -> Vec<usize> {
        let mut shares = vec![0; self.pool.endpoints().len()];
        for _ in 0..1000 {
            shares[self.lease().endpoint().index()] += 1;
        }
        shares
    }

    /// An attempt that is answered and ends well, if the endpoint has room for it.
    fn answer(&self, index: usize) {
        if let Some(lease) = self.endpoint(index).try_lease(self.now) {
            self.pool.answered(&lease, LATENCY, self.now);
            self.pool.succeeded(&lease, self.now);
        }
    }

    /// So many attempts that fail, as far as the endpoint has room for them.
    fn fail(&self, index: usize, times: usize) {
        for _ in 0..times {
            if let Some(lease) = self.endpoint(index).try_lease(self.now) {
                self.pool.failed(&lease, Fault::UpstreamStatus, None, self.now);
            }
        }
    }

    fn set_health(&self, index: usize, health: Health) {
        self.pool.set_health(self.endpoint(index), health, self.now);
    }
}

fn pick_cx(now: Instant, headers: &HeaderMap) -> PickCx<'_> {
    let client_ip = IpAddr::V4(Ipv4Addr::LOCALHOST);
    PickCx {
        client_ip,
        now,
        host: "example.com",
        path: "/",
        query: None,
        headers,
        variables: Variables::NONE,
        notes: None,
    }
}
