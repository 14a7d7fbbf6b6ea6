use crate::config::spec::CanarySpec;

use super::*;

fn state(now: Instant) -> State {
    let spec: CanarySpec = serde_yaml::from_str("{ step: 20%, every: 10s }").unwrap();
    State::new(Rules::new(&spec, None), "shop".parse().unwrap(), "new".parse().unwrap(), now)
}

fn outcome(is_failure: bool) -> Outcome {
    Outcome { is_failure, first_byte: Some(Duration::from_millis(10)) }
}

fn both(state: &State, count: u32, is_failure: bool, now: Instant) {
    for _ in 0..count {
        state.record(false, outcome(false), now);
        state.record(true, outcome(is_failure), now);
    }
}

#[test]
fn requests_lead_to_another_share() {
    let start = Instant::now();
    let state = state(start);
    let at = |seconds| start + Duration::from_secs(seconds);
    both(&state, 200, false, at(1));
    assert_eq!(state.share(), Share::of(0.2), "it is too early");
    both(&state, 1, false, at(11));
    assert_eq!(state.share(), Share::of(0.4));
    // Those before do not count any more.
    let status = state.status(at(12));
    assert_eq!((status.canary.requests, status.for_s, status.phase), (1, 1, CanaryPhase::Running));
    assert_eq!(status.waits_for.as_deref(), Some("100 requests on either side"));
    both(&state, 150, true, at(12));
    both(&state, 1, true, at(14));
    assert_eq!(state.share(), Share::NONE);
    let status = state.status(at(14));
    let why = status.why.unwrap();
    assert_eq!((status.phase, status.waits_for), (CanaryPhase::Aborted, None));
    assert!(why.starts_with("failures 99.34 % of 151 ") && why.contains("against 0.00 % of 1"), "{why}");
}

#[test]
fn requests_are_looked_at_once_a_second() {
    let start = Instant::now();
    let state = state(start);
    both(&state, 200, true, start);
    assert_eq!(state.share(), Share::of(0.2), "nobody has looked yet");
    both(&state, 1, true, start + LOOK);
    assert_eq!(state.share(), Share::NONE);
}

#[test]
fn another_process_goes_on_with_it() {
    let start = Instant::now();
    let old = state(start);
    both(&old, 200, false, start);
    both(&old, 1, false, start + Duration::from_secs(11));
    assert_eq!(old.share(), Share::of(0.4));
    old.steer(CanaryOrder::Pause, start).unwrap();
    let taken_over = |old: &State| {
        let mut new = state(start);
        new.import(&old.export(start), start).unwrap();
        new
    };
    let new = taken_over(&old);
    assert_eq!((new.share(), new.status(start).paused), (Share::of(0.4), true));
    old.steer(CanaryOrder::Abort, start).unwrap();
    let new = taken_over(&old);
    let status = new.status(start);
    assert_eq!((new.share(), status.phase), (Share::NONE, CanaryPhase::Aborted));
    assert_eq!(status.why, old.status(start).why);
    assert!(state(start).import(b"nothing", start).is_err());
}
