use crate::support::{Edge, eventually};

use super::{Caller, Service};

/// Whether a canary that ends all calls with this status is taken back.
async fn is_taken_back(method: &'static str, status: u16) -> bool {
    let (failing, good) = (Service::failing(method, status).await, Service::start().await);
    let text = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools:
  old: {{ protocol: h2c, endpoints: ['{}'] }}
  new: {{ protocol: h2c, outlier: off, retry: {{ attempts: 0 }}, endpoints: ['{}'] }}
routes:
  - split:
      to: [{{ pool: old }}, {{ pool: new }}]
      canary: {{ step: 50%, every: 1s, min_requests: 10, max_p99_increase: 1000% }}
",
        good.endpoint.address(),
        failing.endpoint.address()
    );
    let edge = Edge::start(&text).await;
    let caller = Caller::connect(&edge).await;
    let has_ended = std::cell::Cell::new(None);
    eventually("all calls go to one side", async || {
        let before = (good.calls(), failing.calls());
        for _ in 0..20 {
            caller.status("Echo").await;
        }
        let is_one_sided = (good.calls() == before.0) != (failing.calls() == before.1);
        has_ended.set(is_one_sided.then_some(failing.calls() == before.1));
        is_one_sided
    })
    .await;
    has_ended.get().unwrap()
}

#[tokio::test]
async fn calls_that_fail_count_as_they_do_for_outliers() {
    for method in ["Fail", "Late"] {
        assert!(is_taken_back(method, 14).await, "{method}");
    }
    // What the client has asked for wrongly is nobody's failure.
    assert!(!is_taken_back("Fail", 3).await);
}
