use crate::support::Edge;

use super::{Caller, Service, grpc_fleet};

/// How many of forty calls each of two endpoints gets, when the first ends them with `status`.
async fn shares(method: &'static str, status: u16, headers: &[(&str, &str)]) -> (usize, usize) {
    let (bad, good) = (Service::failing(method, status).await, Service::start().await);
    let keys = "balance: round_robin, retry: { attempts: 0 },";
    let edge = Edge::start(&grpc_fleet(keys, &[&bad, &good])).await;
    let caller = Caller::connect(&edge).await;
    for _ in 0..40 {
        caller.call("Echo", headers, b"hello").await;
    }
    (bad.calls(), good.calls())
}

#[tokio::test]
async fn statuses_of_failure_eject_an_endpoint_as_a_5xx_does() {
    for status in [2, 13, 14, 15] {
        for method in ["Fail", "Late"] {
            assert_eq!(shares(method, status, &[]).await, (5, 35), "{method} {status}");
        }
    }
    assert_eq!(shares("Fail", 4, &[]).await, (5, 35));
}

#[tokio::test]
async fn statuses_of_what_clients_asked_for_do_not() {
    for status in [1, 3, 5, 7, 8, 12, 16] {
        assert_eq!(shares("Fail", status, &[]).await, (20, 20), "{status}");
    }
}

#[tokio::test]
async fn a_deadline_that_nobody_could_meet_does_not() {
    assert_eq!(shares("Fail", 4, &[("grpc-timeout", "900m")]).await, (20, 20));
    // A stream may be meant to last until its deadline.
    assert_eq!(shares("Late", 4, &[]).await, (20, 20));
}

#[tokio::test]
async fn an_answer_that_is_unavailable_is_asked_for_elsewhere_where_that_is_wanted() {
    for (on, expected) in [("connect", 14), ("grpc_unavailable", 0)] {
        let (failing, good) = (Service::failing("Fail", 14).await, Service::start().await);
        let keys = format!("balance: first, retry: {{ on: [{on}] }},");
        let edge = Edge::start(&grpc_fleet(&keys, &[&failing, &good])).await;
        assert_eq!(Caller::connect(&edge).await.status("Echo").await, expected, "{on}");
        assert_eq!(good.calls(), usize::from(expected == 0));
    }
}
