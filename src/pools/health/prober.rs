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
#[derive(Debug)]
pub(crate) struct Prober {
    pools: watch::Sender<Vec<Arc<Pool>>>,
    at_once: Arc<Semaphore>,
}

/// What runs for a pool; it ends when this is dropped.
struct Upkeep {
    pool: Arc<Pool>,
    _tasks: JoinSet<()>,
}

/// So many probes run at once; more wait their turn.
const AT_ONCE: usize = 64;

/// While it is open whether an endpoint's health changes, the next probe comes after this, if not sooner.
const TRANSITION: Duration = Duration::from_secs(1);

impl Prober {
    pub(crate) fn new(pools: &[Arc<Pool>]) -> Self {
        Self { pools: watch::Sender::new(pools.to_vec()), at_once: Arc::new(Semaphore::new(AT_ONCE)) }
    }

    /// From now on these are the pools, which have [taken over](Pool::take_over) by now. Nothing changes for those that it
    /// had before; what there was for others ends.
    #[cfg_attr(not(test), expect(dead_code, reason = "called once configurations are reloaded"))]
    pub(crate) fn update(&self, pools: &[Arc<Pool>]) {
        self.pools.send_replace(pools.to_vec());
    }

    /// Probes until `shutdown` turns true.
    pub(crate) async fn run(&self, mut shutdown: ShutdownWatch) {
        let connectors = Arc::new(Connectors::new());
        let mut pools = self.pools.subscribe();
        let mut running = Vec::new();
        loop {
            let wanted = pools.borrow_and_update().clone();
            running.retain(|upkeep: &Upkeep| wanted.iter().any(|pool| Arc::ptr_eq(pool, &upkeep.pool)));
            for pool in &wanted {
                if !running.iter().any(|upkeep| Arc::ptr_eq(pool, &upkeep.pool)) {
                    running.push(self.begin(pool, &connectors));
                }
            }
            tokio::select! {
                biased;
                // A closed channel means that the server is gone.
                _ = shutdown.wait_for(|stop| *stop) => return,
                _ = pools.changed() => {}
            }
        }
    }

    fn begin(&self, pool: &Arc<Pool>, connectors: &Arc<Connectors>) -> Upkeep {
        let mut tasks = JoinSet::new();
        let kept = pool.clone();
        tasks.spawn(async move { kept.keep().await });
        if let Some(health) = pool.health() {
            for endpoint in pool.endpoints() {
                let check = EndpointCheck::new(health, pool, endpoint, connectors.clone());
                let probe = Probe::new(health, pool, endpoint, Box::new(check), self.at_once.clone());
                tasks.spawn(probe.run());
            }
        }
        Upkeep { pool: pool.clone(), _tasks: tasks }
    }
}

/// The repeated check of one endpoint.
struct Probe {
    pool: Arc<Pool>,
    endpoint: Arc<Endpoint>,
    check: Box<dyn HealthCheck + Send + Sync>,
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
        check: Box<dyn HealthCheck + Send + Sync>,
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
            if let Some((found, reason)) = self.probe().await {
                is_open = self.note(found, &reason);
            }
            let pace = if is_open { self.interval.min(TRANSITION) } else { self.interval };
            tokio::time::sleep(with_random(|random| jittered(pace, random))).await;
        }
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
        self.endpoint.record().history.note(ProbeResult {
            at: SystemTime::now(),
            passed: found == Health::Fit,
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
        let verdict = self.pool.note_probe(&self.endpoint, found, threshold, Instant::now());
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
mod tests {
    use std::collections::VecDeque;

    use async_trait::async_trait;
    use parking_lot::Mutex;

    use super::super::failure::unhealthy;
    use super::*;
    use crate::pools::State;
    use crate::pools::testing::pool;

    /// Answers as it is told, good ones by `true`, and notes when it was asked. After the last answer it hangs.
    struct Script {
        answers: Mutex<VecDeque<bool>>,
        asked: Arc<Mutex<Vec<Instant>>>,
    }

    #[async_trait]
    impl HealthCheck for Script {
        async fn check(&self, _: &Backend) -> pingora_core::Result<()> {
            let answer = self.answers.lock().pop_front();
            match answer {
                None => std::future::pending().await,
                Some(passed) => {
                    self.asked.lock().push(Instant::now());
                    if passed { Ok(()) } else { Err(unhealthy("503 Service Unavailable")) }
                }
            }
        }

        fn health_threshold(&self, success: bool) -> usize {
            if success { 2 } else { 3 }
        }

        fn backend_summary(&self, _: &Backend) -> String {
            "200 OK".to_owned()
        }
    }

    fn probe(keys: &str, answers: &[bool]) -> (Probe, Arc<Mutex<Vec<Instant>>>) {
        let pool = pool(&["10.0.0.1:80", "10.0.0.2:80"], &format!(", health: {{ {keys} }}"), Instant::now());
        let asked: Arc<Mutex<Vec<Instant>>> = Arc::default();
        let script = Script { answers: Mutex::new(answers.iter().copied().collect()), asked: asked.clone() };
        let (health, endpoint) = (pool.health().unwrap(), &pool.endpoints()[0]);
        (Probe::new(health, &pool, endpoint, Box::new(script), Arc::new(Semaphore::new(1))), asked)
    }

    /// Runs until the script hangs; the seconds from one probe to the next.
    async fn gaps(keys: &str, answers: &[bool]) -> Vec<f64> {
        let (probe, asked) = probe(keys, answers);
        let endpoint = probe.endpoint.clone();
        let running = tokio::spawn(probe.run());
        while endpoint.probes().last().is_none_or(|last| !last.reason.starts_with("no answer")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        running.abort();
        let asked = asked.lock();
        asked.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect()
    }

    fn assert_about(gaps: &[f64], expected: &[f64]) {
        let is_about = |(gap, plain): (&f64, &f64)| (plain * 0.89..=plain * 1.11).contains(gap);
        assert!(
            gaps.len() == expected.len() && gaps.iter().zip(expected).all(is_about),
            "{gaps:?} {expected:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn probes_come_sooner_while_a_change_is_open() {
        let answers = [true, false, true, false, false, false, false, true, true, true];
        // One contradiction that came to nothing, three that did, a longer outage, and the way back.
        let expected = [10.0, 1.0, 10.0, 1.0, 1.0, 10.0, 10.0, 1.0, 10.0];
        assert_about(&gaps("tcp: {}, interval: 10s", &answers).await, &expected);
    }

    #[tokio::test(start_paused = true)]
    async fn a_shorter_interval_stays_what_it_is() {
        let expected = [0.3, 0.3, 0.3];
        assert_about(&gaps("tcp: {}, interval: 300ms", &[true, false, false, false]).await, &expected);
    }

    #[tokio::test(start_paused = true)]
    async fn what_probes_found_is_told_to_the_pool_and_kept() {
        let (probe, _) = probe("tcp: {}, fall: 3, timeout: 2s", &[true, false]);
        let mut states = Vec::new();
        for _ in 0..4 {
            let (found, reason) = probe.probe().await.unwrap();
            probe.note(found, &reason);
            states.push(probe.endpoint.state());
        }
        assert_eq!(states, [State::Fit, State::Fit, State::Fit, State::Unfit]);
        let probes = probe.endpoint.probes();
        let told: Vec<_> = probes.iter().map(|result| (result.passed, result.reason.as_str())).collect();
        let expected = [
            (true, "200 OK"),
            (false, "503 Service Unavailable"),
            (false, "no answer within 2s"),
            (false, "no answer within 2s"),
        ];
        assert_eq!(told, expected);
        assert_eq!(probes[3].took.as_secs(), 2);
        assert!(probe.pool.endpoints()[1].probes().is_empty());
    }

    /// Cannot ask, since the process has no descriptor left.
    struct OutOfDescriptors;

    #[async_trait]
    impl HealthCheck for OutOfDescriptors {
        async fn check(&self, _: &Backend) -> pingora_core::Result<()> {
            let cause = io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error());
            Err(Error::because(ErrorType::SocketError, "while connecting", cause))
        }

        fn health_threshold(&self, _: bool) -> usize {
            1
        }
    }

    #[tokio::test]
    async fn a_shortage_of_our_own_tells_nothing_of_an_endpoint() {
        let (probe, _) = probe("tcp: {}", &[]);
        let probe = Probe { check: Box::new(OutOfDescriptors), ..probe };
        assert_eq!(probe.probe().await, None);
        assert_eq!((probe.endpoint.state(), probe.endpoint.probes().len()), (State::Checking, 0));
    }

    #[test]
    fn only_what_the_system_says_makes_an_endpoint_unreachable() {
        let (here, _) = probe("tcp: {}", &[]);
        let (elsewhere, _) = probe("tcp: {}, port: 8081", &[]);
        for (kind, expected) in [
            (ErrorType::ConnectRefused, (false, true)),
            (ErrorType::ConnectError, (false, true)),
            (failure::PORT_UNREACHABLE, (false, true)),
            (ErrorType::ConnectNoRoute, (false, false)),
            (ErrorType::ConnectTimedout, (true, true)),
            (ErrorType::ReadError, (true, true)),
        ] {
            let error = Error::explain(kind.clone(), "of a test");
            assert_eq!((here.is_reachable(&error), elsewhere.is_reachable(&error)), expected, "{kind:?}");
        }
    }
}
