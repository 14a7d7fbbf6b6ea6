use std::time::Duration;

use tokio::time::Instant;

use crate::support::{Edge, Endpoint};

use super::filtered;

async fn ask(edge: &Edge, fields: &str) -> u16 {
    edge.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await.status
}

#[tokio::test]
async fn clients_that_may_ask_for_faults_get_them_and_endpoints_see_nothing_of_it() {
    let endpoint = Endpoint::answering("ok").await;
    let filter = "{ fault: { abort: { status: 503, header: X-Abort }, delay: { for: 300ms, header: X-Delay }, \
                  clients: [127.0.0.0/8] } }";
    let edge = Edge::start(&filtered(endpoint.address(), filter)).await;
    assert_eq!(ask(&edge, "X-Abort: 418\r\n").await, 418);
    assert_eq!(ask(&edge, "Connection: upgrade\r\nUpgrade: websocket\r\nX-Abort: yes\r\n").await, 503);
    assert!(endpoint.requests().is_empty());
    let begun = Instant::now();
    assert_eq!(ask(&edge, "X-Delay: 1h\r\nx_delay: 1h\r\n").await, 200);
    assert!(begun.elapsed() >= Duration::from_millis(300));
    let seen = endpoint.last();
    assert!(seen.header("x-delay").is_none() && seen.header("x_delay").is_none(), "{}", seen.head);
    let log = edge.log_of(3).await;
    assert_eq!((&log[0]["cause"], &log[0]["status"]), (&"fault_injected".into(), &418.into()));
}

#[tokio::test]
async fn others_ask_in_vain() {
    let endpoint = Endpoint::answering("ok").await;
    let filter = "{ fault: { abort: { status: 503, header: X-Abort }, clients: [10.0.0.0/8] } }";
    let edge = Edge::start(&filtered(endpoint.address(), filter)).await;
    for fields in [
        "X-Abort: 503\r\n",
        "X-Abort: 503\r\nX-Forwarded-For: 10.0.0.1\r\n",
        "x_abort: 503\r\nX-Real-IP: 10.0.0.1\r\n",
    ] {
        assert_eq!(ask(&edge, fields).await, 200, "{fields}");
        assert!(!endpoint.last().head.to_lowercase().contains("abort"), "{}", endpoint.last().head);
    }
}

#[tokio::test]
async fn a_share_of_requests_fails() {
    let endpoint = Endpoint::answering("ok").await;
    let filter = "{ fault: { abort: { status: 500, percent: 50% } } }";
    let edge = Edge::start(&filtered(endpoint.address(), filter)).await;
    let mut client = edge.connect().await;
    let mut failed = 0;
    for _ in 0..200 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        failed += u32::from(client.response().await.status == 500);
    }
    // Beyond these it would be chance once in some hundred million runs.
    assert!((60..=140).contains(&failed), "{failed}");
}
