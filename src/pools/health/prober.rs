use std::collections::{HashMap, HashSet};
use std::fmt;
use std::io;
use std::mem::discriminant;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pingora_core::server::ShutdownWatch;
use pingora_core::{Error, ErrorType};
use pingora_load_balancing::Backend;
use pingora_load_balancing::health_check::HealthCheck;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::config;
use crate::net::is_shortage;
use crate::pools::endpoint::pingora_addr;
use crate::pools::pool::Verdict;
use crate::pools::{Endpoint, Health, Pool};
use crate::types::{jittered, with_random};

use super::check::{self, Connectors, EndpointCheck};
use super::failure;
use super::history::ProbeResult;

/// Probes the endpoints of all pools that ask for it, each at its own pace, and ends ejections.
pub(crate) struct Prober {
    pools: watch::Sender<Vec<Arc<Pool>>>,
    new_check: NewCheck,
    at_once: Arc<Semaphore>,
}

/// Makes the check of an endpoint.
type NewCheck = Box<dyn Fn(&config::Health, &Pool, &Endpoint) -> BoxedCheck + Send + Sync>;
type BoxedCheck = Box<dyn HealthCheck + Send + Sync>;

/// What runs for a pool; it ends when this is dropped.
struct Upkeep {
    _pool: Arc<Pool>,
    _tasks: JoinSet<()>,
}

/// So many probes run at once; more wait their turn.
const AT_ONCE: usize = 64;

/// While it is open whether an endpoint's health changes, the next probe comes after this, if not sooner.
const TRANSITION: Duration = Duration::from_secs(1);

impl Prober {
    pub(crate) fn new(pools: &[Arc<Pool>]) -> Self {
        let connectors = Arc::new(Connectors::new());
        Self::with_checks(pools, move |health, pool, endpoint| {
            Box::new(EndpointCheck::new(health, pool, endpoint, connectors.clone()))
        })
    }

    fn with_checks(
        pools: &[Arc<Pool>],
        new_check: impl Fn(&config::Health, &Pool, &Endpoint) -> BoxedCheck + Send + Sync + 'static,
    ) -> Self {
        Self {
            pools: watch::Sender::new(pools.to_vec()),
            new_check: Box::new(new_check),
            at_once: Arc::new(Semaphore::new(AT_ONCE)),
        }
    }

    /// From now on these are the pools, which have [taken over](Pool::take_over) by now. Nothing changes for those that it
    /// had before; what there was for others ends.
    pub(crate) fn update(&self, pools: &[Arc<Pool>]) {
        self.pools.send_replace(pools.to_vec());
    }

    /// Probes endpoints of pools that are about to be served, once each, where requests would have to wait for that. Returns
    /// when it is known of all of them whether they are fit, or after `limit`.
    pub(crate) async fn probe_ahead(&self, pools: &[Arc<Pool>], limit: Duration) {
        let mut probes = JoinSet::new();
        for pool in pools {
            let Some(health) = pool.health() else { continue };
            for endpoint in pool.awaited() {
                let probe = self.probe(health, pool, endpoint);
                probes.spawn(async move { probe.once().await });
            }
        }
        // Those that take longer are probed like all others from then on, and requests wait for them.
        let _ = tokio::time::timeout(limit, async { while probes.join_next().await.is_some() {} }).await;
    }

    /// Probes until `shutdown` turns true.
    pub(crate) async fn run(&self, mut shutdown: ShutdownWatch) {
        let mut pools = self.pools.subscribe();
        // By the address of the pool, which an upkeep holds on to.
        let mut running = HashMap::<usize, Upkeep>::new();
        loop {
            let wanted = pools.borrow_and_update().clone();
            let addresses: HashSet<usize> = wanted.iter().map(address).collect();
            running.retain(|known, _| addresses.contains(known));
            for pool in &wanted {
                running.entry(address(pool)).or_insert_with(|| self.begin(pool));
            }
            tokio::select! {
                biased;
                // A closed channel means that the server is gone.
                _ = shutdown.wait_for(|stop| *stop) => return,
                _ = pools.changed() => {}
            }
        }
    }

    fn begin(&self, pool: &Arc<Pool>) -> Upkeep {
        let mut tasks = JoinSet::new();
        let kept = pool.clone();
        tasks.spawn(async move { kept.keep().await });
        if let Some(health) = pool.health() {
            for endpoint in pool.endpoints() {
                tasks.spawn(self.probe(health, pool, endpoint).run());
            }
        }
        Upkeep { _pool: pool.clone(), _tasks: tasks }
    }

    fn probe(&self, health: &config::Health, pool: &Arc<Pool>, endpoint: &Arc<Endpoint>) -> Probe {
        let check = (self.new_check)(health, pool, endpoint);
        Probe::new(health, pool, endpoint, check, self.at_once.clone())
    }
}

impl fmt::Debug for Prober {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prober").field("pools", &self.pools).finish_non_exhaustive()
    }
}

fn address(pool: &Arc<Pool>) -> usize {
    Arc::as_ptr(pool).addr()
}

/// The repeated check of one endpoint.
struct Probe {
    pool: Arc<Pool>,
    endpoint: Arc<Endpoint>,
    check: BoxedCheck,
    target: Backend,
    interval: Duration,
    timeout: Duration,
    /// Whether probes go to another port than requests.
    is_elsewhere: bool,
    at_once: Arc<Semaphore>,
}

impl Probe {
    fn new(
        health: &config::Health,
        pool: &Arc<Pool>,
        endpoint: &Arc<Endpoint>,
        check: BoxedCheck,
        at_once: Arc<Semaphore>,
    ) -> Self {
        let target = check::target(health, endpoint.address());
        Self {
            is_elsewhere: target.addr != pingora_addr(endpoint.address()),
            pool: pool.clone(),
            endpoint: endpoint.clone(),
            check,
            target,
            interval: health.interval.get(),
            timeout: health.timeout.get(),
            at_once,
        }
    }

    async fn run(self) {
        let mut is_open = false;
        loop {
            is_open = self.once().await.unwrap_or(is_open);
            let pace = if is_open { self.interval.min(TRANSITION) } else { self.interval };
            tokio::time::sleep(with_random(|random| jittered(pace, random))).await;
        }
    }

    /// Probes once, and tells what was found. Returns whether it is open now what the endpoint's health is.
    async fn once(&self) -> Option<bool> {
        let (found, reason) = self.probe().await?;
        Some(self.note(found, &reason))
    }

    /// Probes once, when its turn comes. `None` where nothing was found out, for want of something on this machine.
    async fn probe(&self) -> Option<(Health, String)> {
        // The semaphore is never closed; if it were, probing without a limit beats not probing.
        let _turn = self.at_once.acquire().await.ok();
        let begun = Instant::now();
        let (found, reason) = match tokio::time::timeout(self.timeout, self.check.check(&self.target)).await {
            Ok(Ok(())) => (Health::Fit, self.check.backend_summary(&self.target)),
            Ok(Err(error)) if is_our_own_fault(&error) => {
                let (pool, address) = (self.pool.name(), self.endpoint.address());
                if self.endpoint.may_tell(begun) {
                    let reason = failure::reason(&error);
                    log::warn!("endpoint cannot be probed pool={pool} endpoint={address} reason={reason:?}");
                }
                return None;
            }
            Ok(Err(error)) => {
                (Health::Unfit { is_reachable: self.is_reachable(&error) }, failure::reason(&error))
            }
            Err(_) => (Health::Unfit { is_reachable: true }, format!("no answer within {:?}", self.timeout)),
        };
        let passed = found == Health::Fit;
        self.endpoint.record().stats.count_probe(passed);
        self.endpoint.record().history.note(ProbeResult {
            at: SystemTime::now(),
            passed,
            took: begun.elapsed(),
            reason: reason.clone(),
        });
        Some((found, reason))
    }

    /// Whether requests may get through where this probe failed: not where the system says that there is nothing to
    /// connect to. A timeout says no such thing, and neither does another port that is closed.
    fn is_reachable(&self, error: &Error) -> bool {
        match error.root_etype() {
            ErrorType::ConnectNoRoute => false,
            // `ConnectError` is what Pingora has for a Unix socket whose file is missing.
            ErrorType::ConnectRefused | ErrorType::ConnectError | &failure::PORT_UNREACHABLE => {
                self.is_elsewhere
            }
            _ => true,
        }
    }

    /// Tells the pool, and operators when that concerns the endpoint's work. Returns whether it is open now what the
    /// endpoint's health is.
    fn note(&self, found: Health, reason: &str) -> bool {
        let threshold = self.check.health_threshold(found == Health::Fit);
        let verdict = self.pool.note_probe(&self.endpoint, (found, reason), threshold, Instant::now());
        // The pool is not this one yet, or any more: a successor's probes find out, or this does once it has taken over.
        let Some(Verdict { before, streak }) = verdict else { return true };
        let after = streak.health();
        if discriminant(&after) != discriminant(&before) {
            let (pool, endpoint) = (self.pool.name(), self.endpoint.address());
            if after == Health::Fit {
                log::info!("endpoint is fit pool={pool} endpoint={endpoint} reason={reason:?}");
            } else {
                log::warn!("endpoint is unfit pool={pool} endpoint={endpoint} reason={reason:?}");
            }
        }
        streak.is_in_transition()
    }
}

/// Whether a probe failed before the endpoint had a part in it.
fn is_our_own_fault(error: &Error) -> bool {
    *error.root_etype() == ErrorType::BindError
        || error.root_cause().downcast_ref::<io::Error>().is_some_and(is_shortage)
}

#[cfg(test)]
mod tests;
