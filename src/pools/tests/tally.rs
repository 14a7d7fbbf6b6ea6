use crate::pools::Uncounted;

use super::*;

fn errors(tally: &crate::pools::tally::Tally) -> Vec<(&'static str, u64)> {
    tally.errors().collect()
}

#[test]
fn what_fails_is_counted_by_its_cause_at_the_endpoint_and_at_its_pool() {
    let stage = Stage::new(&THREE[..2], "");
    for (index, fault) in [(0, Fault::ConnectFailed), (0, Fault::UpstreamStatus), (1, Fault::UpstreamStatus)]
    {
        let lease = stage.endpoint(index).try_lease(stage.now).unwrap();
        stage.pool.failed(&lease, fault, None, stage.now);
    }
    assert_eq!(errors(stage.endpoint(0).tally()), [("connect_failed", 1), ("upstream_status", 1)]);
    assert_eq!(errors(stage.endpoint(1).tally()), [("upstream_status", 1)]);
    assert_eq!(errors(stage.pool.tally()), [("connect_failed", 1), ("upstream_status", 2)]);
    assert_eq!(stage.endpoint(0).load().failures(), 2, "all together");
}

#[test]
fn an_endpoint_that_leaves_takes_nothing_from_its_pool() {
    let stage = Stage::new(&THREE[..2], "");
    stage.answer(0);
    stage.fail(0, 1);
    stage.endpoint(0).note_connection();
    let next = crate::pools::testing::successor(&stage.pool, &THREE[1..], "", stage.now);
    next.take_over(stage.now);
    let tally = next.tally();
    assert_eq!((next.counts().picks, tally.connections(), errors(tally).len()), (2, 1, 1));
}

#[test]
fn bytes_are_counted_in_portions_and_to_the_last() {
    let stage = Stage::new(&THREE[..1], "");
    let (endpoint, mut bytes) = (stage.endpoint(0), Uncounted::default());
    bytes.sent(65_535);
    assert!(!bytes.is_due());
    bytes.received(1);
    assert!(bytes.is_due());
    bytes.settle(endpoint);
    bytes.received(7);
    assert_eq!((endpoint.tally().sent(), endpoint.tally().received(), bytes.is_due()), (65_535, 1, false));
    bytes.settle(endpoint);
    bytes.settle(endpoint);
    for tally in [endpoint.tally(), stage.pool.tally()] {
        assert_eq!((tally.sent(), tally.received()), (65_535, 8));
    }
}
