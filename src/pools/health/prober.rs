use std::sync::Arc;
use std::time::Duration;

use pingora_core::server::ShutdownWatch;
use pingora_load_balancing::Backend;
use pingora_load_balancing::health_check::HealthCheck;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::config;
use crate::pools::{Endpoint, Pool};
use crate::types::{Random, with_random};

use super::check;
use super::streak::Streak;

/// Probes the endpoints of all pools that ask for it, each at its own pace.
#[derive(Debug)]
pub(crate) struct Prober {
    pools: Vec<Arc<Pool>>,
    at_once: Arc<Semaphore>,
}

/// So many probes run at once; more wait their turn.
const AT_ONCE: usize = 64;

impl Prober {
    pub(crate) fn new(pools: &[Arc<Pool>]) -> Self {
        Self { pools: pools.to_vec(), at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// Probes until `shutdown` turns true.
    pub(crate) async fn run(&self, mut shutdown: ShutdownWatch) {
        let mut probes = JoinSet::new();
        for pool in self.pools.iter().cloned() {
            probes.spawn(async move { pool.keep().await });
        }
        for pool in &self.pools {
            let Some(health) = pool.health() else { continue };
            for endpoint in pool.endpoints() {
                let probe = Probe::new(health, pool, endpoint, self.at_once.clone());
                probes.spawn(probe.run());
            }
        }
        // Dropping the set ends the probes; a closed channel means that the server is gone.
        let _ = shutdown.wait_for(|stop| *stop).await;
    }
}

/// The repeated check of one endpoint.
struct Probe {
    pool: Arc<Pool>,
    endpoint: Arc<Endpoint>,
    check: Box<dyn HealthCheck + Send + Sync>,
    backend: Backend,
    interval: Duration,
    timeout: Duration,
    at_once: Arc<Semaphore>,
}

impl Probe {
    fn new(
        health: &config::Health,
        pool: &Arc<Pool>,
        endpoint: &Arc<Endpoint>,
        at_once: Arc<Semaphore>,
    ) -> Self {
        let (check, backend) = check::build(health, pool, endpoint);
        Self {
            pool: pool.clone(),
            endpoint: endpoint.clone(),
            check,
            backend,
            interval: health.interval.get(),
            timeout: health.timeout.get(),
            at_once,
        }
    }

    async fn run(self) {
        let mut streak = Streak::new();
        loop {
            let result = self.probe().await;
            let passed = result.is_ok();
            if let Some(is_fit) = streak.observe(passed, self.check.health_threshold(passed)) {
                self.check.health_status_change(&self.backend, passed).await;
                self.log_flip(is_fit, result);
            }
            tokio::time::sleep(with_random(|random| jittered(self.interval, random))).await;
        }
    }

    async fn probe(&self) -> Result<(), String> {
        // The semaphore is never closed; if it were, probing without a limit beats not probing.
        let _turn = self.at_once.acquire().await.ok();
        match tokio::time::timeout(self.timeout, self.check.check(&self.backend)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {:?}", self.timeout)),
        }
    }

    fn log_flip(&self, is_fit: bool, result: Result<(), String>) {
        let (pool, endpoint) = (self.pool.name(), self.endpoint.address());
        match (is_fit, result) {
            (false, Err(reason)) => {
                log::warn!("endpoint is unfit pool={pool} endpoint={endpoint} reason={reason:?}");
            }
            _ => log::info!("endpoint is fit pool={pool} endpoint={endpoint}"),
        }
    }
}

/// The interval ±10 %, so that the probes of many endpoints and proxies do not run in step.
fn jittered(interval: Duration, random: &mut Random) -> Duration {
    interval.mul_f64(0.9 + 0.2 * random.f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jitter_stays_within_a_tenth() {
        let mut random = Random::with_seed(1);
        for _ in 0..1000 {
            let wait = jittered(Duration::from_secs(10), &mut random);
            assert!((9_000..=11_000).contains(&wait.as_millis()), "{wait:?}");
        }
    }
}
