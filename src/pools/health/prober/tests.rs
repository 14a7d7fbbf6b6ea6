use std::collections::{HashMap, HashSet, VecDeque};

use async_trait::async_trait;
use parking_lot::Mutex;

use super::failure::unhealthy;
use super::*;
use crate::pools::State;
use crate::pools::testing::{pool, successor};

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
    assert!(gaps.len() == expected.len() && gaps.iter().zip(expected).all(is_about), "{gaps:?} {expected:?}");
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

/// Where probes went and when, and which addresses answer them well.
#[derive(Default)]
struct Scene {
    asked: Mutex<Vec<(String, Instant)>>,
    failing: Mutex<HashSet<String>>,
    /// How long an address takes to answer, if that is not nothing.
    slow: Mutex<HashMap<String, Duration>>,
}

impl Scene {
    fn times(&self, address: &str) -> Vec<Instant> {
        let asked = self.asked.lock();
        asked.iter().filter(|(asked, _)| asked == address).map(|&(_, at)| at).collect()
    }

    fn fail(&self, address: &str) {
        self.failing.lock().insert(address.to_owned());
    }

    fn slow_down(&self, address: &str, seconds: u64) {
        self.slow.lock().insert(address.to_owned(), Duration::from_secs(seconds));
    }

    /// A prober that asks the scene, and runs until the sender is dropped.
    fn prober(self: &Arc<Self>, pools: &[Arc<Pool>]) -> (Arc<Prober>, watch::Sender<bool>) {
        let scene = self.clone();
        let new_check = move |_: &config::Health, _: &Pool, endpoint: &Endpoint| {
            Box::new(SceneCheck { scene: scene.clone(), address: endpoint.address().to_string() })
                as BoxedCheck
        };
        let prober = Arc::new(Prober::with_checks(pools, new_check));
        let (stop, stopped) = watch::channel(false);
        let running = prober.clone();
        tokio::spawn(async move { running.run(stopped).await });
        (prober, stop)
    }
}

struct SceneCheck {
    scene: Arc<Scene>,
    address: String,
}

#[async_trait]
impl HealthCheck for SceneCheck {
    async fn check(&self, _: &Backend) -> pingora_core::Result<()> {
        self.scene.asked.lock().push((self.address.clone(), Instant::now()));
        let delay = self.scene.slow.lock().get(&self.address).copied();
        tokio::time::sleep(delay.unwrap_or_default()).await;
        if self.scene.failing.lock().contains(&self.address) { Err(unhealthy("503")) } else { Ok(()) }
    }

    fn health_threshold(&self, success: bool) -> usize {
        if success { 2 } else { 3 }
    }
}

const EVERY_10: &str = ", health: { tcp: {}, interval: 10s }";

async fn pass(seconds: f64) {
    tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn pools_that_stay_are_probed_as_if_nothing_had_changed() {
    let (stays, goes) = ("10.0.0.1:80", "10.0.0.2:80");
    let pools = [stays, goes].map(|address| pool(&[address], EVERY_10, Instant::now()));
    let scene = Arc::<Scene>::default();
    let (prober, _stop) = scene.prober(&pools);
    let [kept, gone] = pools;
    let gone = Arc::downgrade(&{ gone });
    for _ in 0..26 {
        pass(0.9).await;
        prober.update(std::slice::from_ref(&kept));
    }
    pass(0.1).await;
    let times = scene.times(stays);
    let gaps: Vec<_> = times.windows(2).map(|pair| (pair[1] - pair[0]).as_secs_f64()).collect();
    assert_about(&gaps, &[10.0, 10.0]);
    assert_eq!(scene.times(goes).len(), 1);
    assert!(gone.upgrade().is_none(), "nobody holds a pool that is gone");
}

#[tokio::test(start_paused = true)]
async fn a_new_generation_goes_on_with_what_probes_found() {
    let (old, new) = ("10.0.0.1:80", "10.0.0.2:80");
    let before = pool(&[old], EVERY_10, Instant::now());
    let scene = Arc::<Scene>::default();
    let (prober, _stop) = scene.prober(std::slice::from_ref(&before));
    pass(5.0).await;
    scene.fail(old);
    while scene.times(old).len() < 3 {
        pass(0.1).await;
    }
    assert_eq!(before.endpoints()[0].state(), State::Fit);
    let after = successor(&before, &[new, old], EVERY_10, Instant::now());
    after.take_over(Instant::now());
    assert_eq!(
        after.endpoints().iter().map(|one| one.state()).collect::<Vec<_>>(),
        [State::Checking, State::Fit]
    );
    prober.update(std::slice::from_ref(&after));
    pass(0.1).await;
    assert_eq!(
        after.endpoints().iter().map(|one| one.state()).collect::<Vec<_>>(),
        [State::Fit, State::Unfit]
    );
    assert_eq!((scene.times(old).len(), scene.times(new).len()), (4, 1));
    assert_eq!(after.endpoints()[1].probes().len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_pool_that_gets_probes_is_fit_until_they_say_otherwise() {
    let address = "10.0.0.1:80";
    let before = pool(&[address, "10.0.0.2:80"], "", Instant::now());
    let scene = Arc::<Scene>::default();
    scene.fail(address);
    let (prober, _stop) = scene.prober(std::slice::from_ref(&before));
    let after = successor(&before, &[address, "10.0.0.2:80"], EVERY_10, Instant::now());
    after.take_over(Instant::now());
    prober.update(std::slice::from_ref(&after));
    pass(0.1).await;
    assert_eq!((scene.times(address).len(), after.endpoints()[0].state()), (1, State::Fit));
    pass(3.0).await;
    assert_eq!((scene.times(address).len(), after.endpoints()[0].state()), (3, State::Unfit));
}

#[tokio::test(start_paused = true)]
async fn probes_of_an_older_generation_decide_nothing() {
    let (probe, _) = probe("tcp: {}", &[true, false]);
    let after = successor(&probe.pool, &["10.0.0.1:80"], ", health: { tcp: {} }", Instant::now());
    assert!(!probe.note(Health::Fit, "before the successor takes over"));
    after.take_over(Instant::now());
    for _ in 0..10 {
        assert!(probe.note(Health::Unfit { is_reachable: false }, "after it"));
    }
    assert_eq!(after.endpoints()[0].state(), State::Fit);
}

// === Pools that are about to be served ===

const LIMIT: Duration = Duration::from_secs(3);

fn states(pool: &Pool) -> Vec<&'static str> {
    pool.endpoints().iter().map(|one| one.state().as_str()).collect()
}

#[tokio::test(start_paused = true)]
async fn addresses_that_are_all_new_are_known_before_they_are_served() {
    let (old, good, bad) = ("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80");
    let before = pool(&[old], EVERY_10, Instant::now());
    let scene = Arc::<Scene>::default();
    let (prober, _stop) = scene.prober(std::slice::from_ref(&before));
    pass(0.1).await;
    scene.fail(bad);
    scene.slow_down(good, 1);
    let after = successor(&before, &[good, bad], EVERY_10, Instant::now());
    let begun = Instant::now();
    prober.probe_ahead(std::slice::from_ref(&after), LIMIT).await;
    assert_eq!((begun.elapsed().as_secs(), states(&before)), (1, vec!["fit"]));
    after.take_over(Instant::now());
    assert_eq!((states(&after), after.is_settled()), (vec!["fit", "unfit"], true));
    assert_eq!(after.endpoints().iter().map(|one| one.probes().len()).collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test(start_paused = true)]
async fn a_pool_of_a_new_name_is_known_before_it_is_served() {
    let after = pool(&["10.0.0.1:80", "{ address: '10.0.0.2:80', weight: 0 }"], EVERY_10, Instant::now());
    let scene = Arc::<Scene>::default();
    let (prober, _stop) = scene.prober(&[]);
    assert_eq!((states(&after), after.is_settled()), (vec!["checking", "drained"], false));
    prober.probe_ahead(std::slice::from_ref(&after), LIMIT).await;
    assert_eq!((states(&after), after.is_settled()), (vec!["fit", "drained"], true));
    assert_eq!(scene.asked.lock().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn nobody_looks_ahead_where_others_go_on_serving() {
    let (old, new) = ("10.0.0.1:80", "10.0.0.2:80");
    let before = pool(&[old], "", Instant::now());
    let scene = Arc::<Scene>::default();
    let (prober, _stop) = scene.prober(&[]);
    let unprobed = pool(&[new], "", Instant::now());
    let joined = successor(&before, &[old, new], EVERY_10, Instant::now());
    prober.probe_ahead(&[before.clone(), unprobed, joined], LIMIT).await;
    assert!(scene.asked.lock().is_empty());
    // Taken out by the same change, it serves nobody.
    let drained = format!("{{ address: '{old}', weight: 0 }}");
    let moved = successor(&before, &[&drained, new], EVERY_10, Instant::now());
    prober.probe_ahead(std::slice::from_ref(&moved), LIMIT).await;
    moved.take_over(Instant::now());
    assert_eq!((states(&moved), moved.is_settled()), (vec!["drained", "fit"], true));
}

#[tokio::test(start_paused = true)]
async fn one_that_hangs_does_not_hold_up_a_change_for_ever() {
    let (old, good, slow) = ("10.0.0.1:80", "10.0.0.2:80", "10.0.0.3:80");
    let keys = ", health: { tcp: {}, timeout: 30s }";
    let before = pool(&[old], keys, Instant::now());
    let scene = Arc::<Scene>::default();
    scene.slow_down(slow, 20);
    let (prober, _stop) = scene.prober(&[]);
    for (new, expected, is_settled) in
        [(&[good, slow][..], &["fit", "checking"][..], true), (&[slow], &["checking"], false)]
    {
        let (begun, after) = (Instant::now(), successor(&before, new, keys, Instant::now()));
        prober.probe_ahead(std::slice::from_ref(&after), LIMIT).await;
        assert_eq!(begun.elapsed(), LIMIT);
        after.take_over(Instant::now());
        assert_eq!((states(&after), after.is_settled()), (expected.to_vec(), is_settled));
        before.take_over(Instant::now());
    }
}
