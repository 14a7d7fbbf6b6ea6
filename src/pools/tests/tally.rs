use crossbeam_utils::CachePadded;

use crate::pools::{Tried, Uncounted};

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

/// Threads that pick read what stands beside it.
#[test]
fn what_requests_write_shares_no_line() {
    let stage = Stage::new(&THREE[..1], "");
    let line = align_of::<CachePadded<u8>>();
    let record = stage.endpoint(0).record();
    assert_eq!((align_of_val(&record.tally), align_of_val(&*stage.pool.lineage.tally)), (line, line));
}

/// Attempts are, and nothing that was merely looked at.
#[test]
fn each_attempt_is_one_pick() {
    let mut stage = Stage::new(&THREE[..2], "");
    let (headers, now) = (HeaderMap::new(), stage.now);
    let cx = pick_cx(now, &headers);
    let mut tried = Tried::new();
    let mut picks = 0;
    for index in [0, 1] {
        assert!(!stage.pool.would_repeat(&tried));
        tried.push(stage.endpoint(index).clone());
        let Pick::Endpoint(picked) = stage.pool.pick_by_policy(&cx, &tried, &mut stage.random) else {
            panic!("none is picked")
        };
        let another = stage.pool.pick_another(&tried, now, &mut stage.random).unwrap();
        picks += 2;
        if index == 0 {
            assert!([&picked, &another].iter().all(|lease| lease.endpoint().index() == 1));
        }
        assert_eq!(stage.pool.counts().picks, picks);
    }
    assert!(stage.pool.would_repeat(&tried));
    assert!(stage.pool.pick_untried(&tried, now, &mut stage.random).is_none());
    assert_eq!(stage.pool.counts().picks, picks);
    (0..2).for_each(|index| stage.set_health(index, REFUSED));
    assert!(!stage.pool.would_repeat(&tried), "there is none to be picked");
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
