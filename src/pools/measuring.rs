//! What the benchmarks measure of a pool's insides. No part of the public interface.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::config;
use crate::hooks::{Member, Policy};
use crate::types::Random;

use super::policy::LeastRequests;
use super::{Outcome, Pool};

/// A pool of one endpoint, to which outcomes are told as the gateway does.
#[derive(Debug)]
pub struct Recorder {
    pool: Arc<Pool>,
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
        let pool = Pool::new(&config.pools[0], None, &[], Box::new(policy), Random::with_seed(1), now);
        Self { pool: Arc::new(pool) }
    }

    /// An answer that took so long.
    pub fn answered(&self, latency: Duration, now: Instant) {
        self.pool.record(&self.pool.endpoints()[0], &Outcome::Answered(latency), now);
    }

    /// A pick and its end, with all counts.
    pub fn begin_and_end(&self, now: Instant) {
        drop(self.pool.endpoints()[0].try_lease(now));
    }
}
