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
fn pausing_forgets_nothing_and_after_resuming_it_takes_a_whole_window() {
    let start = Instant::now();
    let state = state(start);
    let at = |seconds| start + Duration::from_secs(seconds);
    both(&state, 200, false, at(1));
    let requests = |seconds| state.status(at(seconds)).canary.requests;
    state.steer(CanaryOrder::Pause, at(9)).unwrap();
    assert_eq!(requests(9), 200);
    assert_eq!(state.status(at(9)).waits_for.as_deref(), Some("an operator"));
    both(&state, 1, false, at(30));
    assert_eq!((state.share(), requests(30)), (Share::of(0.2), 201));
    state.steer(CanaryOrder::Resume, at(31)).unwrap();
    assert_eq!(requests(31), 0);
    both(&state, 200, false, at(40));
    assert_eq!(state.share(), Share::of(0.2), "ten seconds are not over");
    both(&state, 1, false, at(42));
    assert_eq!(state.share(), Share::of(0.4));
    state.steer(CanaryOrder::Pause, at(43)).unwrap();
    state.steer(CanaryOrder::Resume, at(44)).unwrap();
    both(&state, 50, false, at(60));
    assert_eq!(state.share(), Share::of(0.4), "there are too few");
}

#[test]
fn what_was_seen_before_it_was_resumed_still_counts_against_it() {
    let start = Instant::now();
    let state = state(start);
    both(&state, 90, true, start);
    state.steer(CanaryOrder::Pause, start).unwrap();
    state.steer(CanaryOrder::Resume, start).unwrap();
    both(&state, 11, true, start);
    both(&state, 1, true, start + LOOK);
    assert_eq!(state.status(start + LOOK).phase, CanaryPhase::Aborted);
}

#[test]
fn what_breaks_late_in_a_long_window_is_seen_at_once() {
    let start = Instant::now();
    let state = state(start);
    let at = |seconds| start + Duration::from_secs(seconds);
    state.steer(CanaryOrder::Pause, start).unwrap();
    for minute in 0..60 {
        both(&state, 1000, false, at(60 * minute));
    }
    assert_eq!(state.status(at(3600)).canary.requests, 60_000);
    // One percent of all would be 600.
    both(&state, 200, true, at(3600));
    both(&state, 1, true, at(3602));
    assert_eq!(state.status(at(3602)).phase, CanaryPhase::Aborted);
}

#[test]
fn what_it_begins_with_is_no_reason_to_count_anew() {
    let start = Instant::now();
    let state = state(start);
    let at = |seconds| start + Duration::from_secs(seconds);
    let rules = |yaml: &str, share| Rules::new(&serde_yaml::from_str(yaml).unwrap(), Some(Share::of(share)));
    both(&state, 200, false, at(1));
    state.come_under(&rules("{ step: 20%, every: 10s }", 0.01), at(5));
    assert_eq!((state.share(), state.status(at(5)).canary.requests), (Share::of(0.2), 200));
    state.come_under(&rules("{ step: 10%, every: 10s }", 0.01), at(8));
    assert_eq!((state.share(), state.status(at(8)).canary.requests), (Share::of(0.2), 0));
    both(&state, 200, false, at(12));
    assert_eq!(state.share(), Share::of(0.2), "the window has begun anew");
    both(&state, 1, false, at(18));
    assert_eq!(state.share(), Share::of(0.3));
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
