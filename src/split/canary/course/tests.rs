use std::time::Duration;

use crate::split::canary::verdict::Counts;
use crate::telemetry::AtomicHistogram;
use crate::types::Random;

use super::*;

fn rules(yaml: &str) -> Rules {
    Rules::new(&serde_yaml::from_str(&format!("{{ {yaml} }}")).unwrap(), None)
}

/// How one side serves.
#[derive(Clone, Copy)]
struct Manner {
    /// Of 1.
    failures: f64,
    /// What half of the requests take at most.
    median_ms: f64,
}

const USUAL: Manner = Manner { failures: 0.01, median_ms: 20.0 };

/// Both sides of a split under load, second by second.
struct Site {
    random: Random,
    rules: Rules,
    course: Course,
    now: Instant,
    per_second: u32,
    sides: [Side; 2],
}

#[derive(Default)]
struct Side {
    requests: u64,
    failures: u64,
    latencies: AtomicHistogram,
}

impl Side {
    fn serve(&mut self, manner: Manner, random: &mut Random) {
        self.requests += 1;
        self.failures += u64::from(random.f64() < manner.failures);
        // A long tail: the slowest hundredth takes some ten times as long as half of them.
        let tail = -(1.0 - random.f64()).ln();
        self.latencies.count(Duration::from_secs_f64(manner.median_ms / 1000.0 * (0.3 + tail * 1.5)));
    }

    fn counts(&self) -> Counts {
        Counts { requests: self.requests, failures: self.failures, latencies: self.latencies.read() }
    }
}

impl Site {
    fn new(rules: Rules, per_second: u32, seed: u64) -> Self {
        let now = Instant::now();
        let course = Course::begin(&rules, now);
        Self { random: Random::with_seed(seed), rules, course, now, per_second, sides: Default::default() }
    }

    fn second(&mut self, canary: Manner) -> Option<Turn> {
        for _ in 0..self.per_second {
            let is_canary = self.random.f64() < self.course.share.as_fraction();
            let (side, manner) = if is_canary { (0, canary) } else { (1, USUAL) };
            self.sides[side].serve(manner, &mut self.random);
        }
        self.now += Duration::from_secs(1);
        let [canary, others] = [&self.sides[0], &self.sides[1]].map(Side::counts);
        let window = Window { canary, others };
        let turn = self.course.look(&self.rules, &window, &window, self.now);
        if turn.is_some() {
            self.sides = Default::default();
        }
        turn
    }

    /// Seconds until the canary has ended, and every share that it has had.
    fn run(&mut self, canary: Manner, most: u32) -> (Option<u32>, Vec<String>) {
        let mut shares = vec![self.course.share.to_string()];
        for second in 1..=most {
            match self.second(canary) {
                Some(Turn::Grows) => shares.push(self.course.share.to_string()),
                Some(_) => return (Some(second), shares),
                None => {}
            }
        }
        (None, shares)
    }
}

#[test]
fn a_good_canary_is_promoted_step_by_step() {
    let mut site = Site::new(rules("step: 30%, every: 10s"), 200, 1);
    let (seconds, shares) = site.run(USUAL, 600);
    assert_eq!(shares, ["30 %", "60 %", "90 %"]);
    assert!(seconds.unwrap() >= 30);
    assert_eq!(site.course.share, Share::ALL);
    let Phase::Promoted { why } = &site.course.phase else { panic!("{:?}", site.course) };
    assert!(why.starts_with("failures ") && why.contains(" ms against "), "{why}");
}

#[test]
fn good_canaries_are_hardly_ever_taken_back() {
    let runs = 150;
    let ends = (0..runs).map(|seed| {
        let mut site = Site::new(rules("step: 20%, every: 20s"), 100, seed);
        site.run(USUAL, 3000);
        site.course.phase
    });
    let aborted = ends.filter(|phase| !matches!(phase, Phase::Promoted { .. })).count();
    assert!(aborted <= 2, "{aborted} of {runs}");
}

#[test]
fn a_failing_canary_is_taken_back_before_its_time_is_over() {
    for (failures, within) in [(1.0, 30), (0.3, 60), (0.06, 300)] {
        for seed in 0..20 {
            let mut site = Site::new(rules("every: 10m"), 100, seed);
            let (seconds, shares) = site.run(Manner { failures, ..USUAL }, within);
            assert!(seconds.is_some() && shares == ["5 %"], "{failures} {seed}: {:?}", site.course);
            assert_eq!(site.course.share, Share::NONE);
            let Phase::Aborted { why } = &site.course.phase else { panic!("{:?}", site.course) };
            assert!(why.starts_with("failures ") && why.ends_with("1% more is allowed"), "{why}");
        }
    }
}

#[test]
fn a_slow_canary_is_taken_back() {
    for (median_ms, within) in [(200.0, 60), (40.0, 600)] {
        let mut site = Site::new(rules("every: 10m"), 200, 3);
        let (seconds, _) = site.run(Manner { median_ms, ..USUAL }, within);
        let Phase::Aborted { why } = &site.course.phase else { panic!("{median_ms}: {:?}", site.course) };
        assert!(
            seconds.is_some() && why.starts_with("p99 ") && why.ends_with("20% more is allowed"),
            "{why}"
        );
    }
}

#[test]
fn a_canary_that_is_a_little_worse_than_allowed_never_grows_far() {
    for seed in 0..20 {
        let mut site = Site::new(rules("every: 1m"), 500, seed);
        let (_, shares) = site.run(Manner { failures: 0.03, ..USUAL }, 3600);
        assert!(matches!(site.course.phase, Phase::Aborted { .. }), "{seed}: {:?}", site.course);
        assert!(shares.len() <= 3, "{seed}: {shares:?}");
    }
}

#[test]
fn what_is_allowed_is_borne() {
    let allowing = "step: 50%, every: 10s, max_error_increase: 10%, max_p99_increase: 100%";
    let mut site = Site::new(rules(allowing), 500, 5);
    site.run(Manner { failures: 0.06, median_ms: 30.0 }, 600);
    assert!(matches!(site.course.phase, Phase::Promoted { .. }), "{:?}", site.course);
}

#[test]
fn with_too_few_requests_nothing_is_decided() {
    // One request in twenty seconds at the canary.
    let mut site = Site::new(rules("every: 10s"), 1, 1);
    assert_eq!(site.run(Manner { failures: 1.0, ..USUAL }, 300), (None, vec!["5 %".to_owned()]));
    assert_eq!(site.course.phase, Phase::Running);
}

#[test]
fn a_small_difference_of_small_latencies_is_none() {
    let mut site = Site::new(rules("step: 50%, every: 10s"), 200, 1);
    let counts = |millis: f64, side: &mut Side| {
        (0..500)
            .for_each(|_| side.serve(Manner { failures: 0.0, median_ms: millis }, &mut Random::with_seed(1)));
    };
    counts(0.2, &mut site.sides[1]);
    counts(0.5, &mut site.sides[0]);
    let [canary, others] = [&site.sides[0], &site.sides[1]].map(Side::counts);
    let later = site.now + Duration::from_secs(10);
    let window = Window { canary, others };
    let turn = site.course.look(&site.rules, &window, &window, later);
    assert_eq!(turn, Some(Turn::IsPromoted));
}

#[test]
fn the_largest_share_may_be_less_than_all() {
    let mut site = Site::new(rules("step: 20%, every: 5s, max: 50%"), 200, 1);
    let (_, shares) = site.run(USUAL, 600);
    assert_eq!(shares, ["20 %", "40 %", "50 %"]);
    assert_eq!((site.course.share, site.course.since), (Share::of(0.5), site.now));
}

#[test]
fn a_canary_that_is_taken_back_may_keep_a_share() {
    let mut site = Site::new(rules("step: 20%, on_abort: 2%"), 200, 1);
    site.run(Manner { failures: 1.0, ..USUAL }, 60);
    assert_eq!(site.course.share, Share::of(0.02));
    // And that is the end of it.
    assert_eq!(site.run(USUAL, 600).0, None);
}

#[test]
fn a_paused_canary_does_not_grow_and_may_still_be_taken_back() {
    let mut site = Site::new(rules("step: 20%, every: 5s"), 200, 1);
    let steer = |site: &mut Site, order| site.course.steer(order, &site.rules, site.now);
    assert_eq!(steer(&mut site, CanaryOrder::Pause), Ok(()));
    assert_eq!(site.run(USUAL, 60), (None, vec!["20 %".to_owned()]));
    assert_eq!(steer(&mut site, CanaryOrder::Resume), Ok(()));
    let turns: Vec<_> = (0..5).map(|_| site.second(USUAL)).collect();
    assert_eq!(turns, [None, None, None, None, Some(Turn::Grows)], "a whole `every` later");
    assert_eq!(steer(&mut site, CanaryOrder::Pause), Ok(()));
    site.run(Manner { failures: 1.0, ..USUAL }, 60);
    assert!(matches!(site.course.phase, Phase::Aborted { .. }));
    assert_eq!(steer(&mut site, CanaryOrder::Resume), Err(NotRunning));
}

#[test]
fn operators_have_the_last_word() {
    let mut site = Site::new(rules("max: 80%"), 200, 1);
    let mut told = |order| {
        site.course.steer(order, &site.rules, site.now).unwrap();
        (site.course.share.to_string(), site.course.phase.clone())
    };
    let why = || BY_OPERATOR.to_owned();
    assert_eq!(told(CanaryOrder::Promote), ("80 %".to_owned(), Phase::Promoted { why: why() }));
    assert_eq!(told(CanaryOrder::Abort), ("0 %".to_owned(), Phase::Aborted { why: why() }));
    assert_eq!(told(CanaryOrder::Restart), ("5 %".to_owned(), Phase::Running));
}

#[test]
fn other_rules_make_a_share_smaller_and_never_larger() {
    let mut site = Site::new(rules("max: 80%, on_abort: 5%"), 200, 1);
    let steer = |site: &mut Site, order| site.course.steer(order, &site.rules, site.now);
    let under = |site: &mut Site, yaml: &str| {
        (site.rules, site.now) = (rules(yaml), site.now + Duration::from_secs(1));
        site.course.come_under(&site.rules, site.now);
        (site.course.share.to_string(), site.course.since == site.now)
    };
    steer(&mut site, CanaryOrder::Promote).unwrap();
    assert_eq!(under(&mut site, "max: 90%"), ("80 %".to_owned(), true));
    assert_eq!(under(&mut site, "max: 70%"), ("70 %".to_owned(), true));
    assert_eq!(steer(&mut site, CanaryOrder::Resume), Err(NotRunning), "it has all that it may");
    assert_eq!(under(&mut site, "max: 90%, step: 20%, every: 5s"), ("70 %".to_owned(), true));
    assert_eq!(steer(&mut site, CanaryOrder::Resume), Ok(()));
    assert_eq!(site.run(USUAL, 600).1, ["70 %", "90 %"]);
    assert_eq!(under(&mut site, "on_abort: 5%"), ("90 %".to_owned(), true));
    steer(&mut site, CanaryOrder::Abort).unwrap();
    assert_eq!(under(&mut site, "on_abort: 10%, step: 50%"), ("5 %".to_owned(), true));
    assert_eq!(under(&mut site, "on_abort: 0%"), ("0 %".to_owned(), true));
    assert!(matches!(site.course.phase, Phase::Aborted { .. }));
}
