use crate::support::{Edge, Endpoint, dead, eventually};

use super::{GET, attempts_of, fleet};

async fn failing() -> Endpoint {
    Endpoint::with(|_| "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_owned()).await
}

#[tokio::test]
async fn an_endpoint_that_fails_five_requests_gets_no_more() {
    let (failing, good) = (failing().await, Endpoint::answering("good").await);
    let edge = Edge::start(&fleet("balance: round_robin,", &[&failing.address(), &good.address()])).await;
    let mut failed = 0;
    for _ in 0..40 {
        failed += usize::from(edge.send(GET).await.status == 500);
    }
    assert_eq!((failed, failing.requests().len()), (5, 5));
}

#[tokio::test]
async fn one_that_cannot_be_connected_to_is_found_out_without_probes() {
    let (dead, good) = (dead().await, Endpoint::answering("good").await);
    let edge = Edge::start(&fleet("balance: round_robin,", &[&dead, &good.address()])).await;
    for _ in 0..40 {
        assert_eq!(edge.send(GET).await.text(), "good");
    }
    assert_eq!(attempts_of(&edge, 40).await, 45, "five attempts go to the dead one");
}

#[tokio::test]
async fn the_last_one_serves_on_however_badly() {
    let failing = failing().await;
    let edge = Edge::start(&fleet("", &[&failing.address()])).await;
    for _ in 0..20 {
        assert_eq!(edge.send(GET).await.status, 500);
    }
    assert_eq!(failing.requests().len(), 20);
}

#[tokio::test]
async fn an_ejected_endpoint_returns_when_it_has_recovered() {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    let is_well = Arc::new(AtomicBool::new(false));
    let switch = is_well.clone();
    let flaky = Endpoint::with(move |_| {
        let (status, body) =
            if switch.load(Ordering::Relaxed) { ("200 OK", "back") } else { ("500 No", "ill!") };
        format!("HTTP/1.1 {status}\r\nContent-Length: 4\r\n\r\n{body}")
    })
    .await;
    let good = Endpoint::answering("good").await;
    let keys = "balance: round_robin, slow_start: 0s, outlier: { eject: 50ms, consecutive: 2 },";
    let edge = Edge::start(&fleet(keys, &[&flaky.address(), &good.address()])).await;
    eventually("it fails", async || edge.send(GET).await.status == 500).await;
    is_well.store(true, Ordering::Relaxed);
    eventually("it is back", async || edge.send(GET).await.text() == "back").await;
    let half = async || {
        let mut back = 0;
        for _ in 0..10 {
            back += usize::from(edge.send(GET).await.text() == "back");
        }
        back == 5
    };
    eventually("it has its whole share", half).await;
}
