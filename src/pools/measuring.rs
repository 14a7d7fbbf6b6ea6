//! What the benchmarks measure of the insides. No part of the public interface.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::hooks::{Member, Policy};
use crate::types::Random;

pub use crate::telemetry::{Pulse, PulseSummary};

use super::policy::LeastRequests;
use super::{Lease, Pool, PoolParts};

/// A pool of one endpoint, to which outcomes are told as the gateway does.
#[derive(Debug)]
pub struct Recorder {
    pool: Arc<Pool>,
    lease: Lease,
}

impl Recorder {
    /// A pool with the default limits of outlier detection.
    ///
    /// # Panics
    /// When the configuration in here is no longer one.
    pub fn new(now: Instant) -> Self {
        let text = "listeners: { web: { bind: 127.0.0.1:0 } }\n\
                    pools: { app: { endpoints: [127.0.0.1:1] } }\n\
                    routes: [{ pool: app }]\n";
        let loaded = config::load_text("measured", "".as_ref(), text);
        #[expect(clippy::expect_used, reason = "the text above is a configuration")]
        let config = loaded.expect("a configuration").config;
        let policy = |_: &[Member], _: &mut Random| Box::new(LeastRequests) as Box<dyn Policy>;
        let pool = Pool::new(PoolParts {
            config: &config.pools[0],
            tls: None,
            own_zone: None,
            secret: &[],
            new_policy: Box::new(policy),
            random: Random::with_seed(1),
            predecessor: None,
            journal: Arc::default(),
            now,
        });
        #[expect(clippy::expect_used, reason = "nothing else has asked for room")]
        let lease = pool.endpoints()[0].try_lease(now).expect("an idle endpoint");
        Self { pool, lease }
    }

    /// An answer that took so long, and then ended well.
    pub fn answered(&self, latency: Duration, now: Instant) {
        self.pool.answered(&self.lease, latency, now);
        self.pool.succeeded(&self.lease, now);
    }

    /// A pick and its end, with all counts.
    pub fn begin_and_end(&self, now: Instant) {
        drop(self.pool.endpoints()[0].try_lease(now));
    }
}
