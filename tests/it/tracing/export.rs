//! How spans get to the collector, and what happens where they do not.

use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::process::Running;
use crate::support::{Ca, Client, Edge, Endpoint, PATIENCE, TlsFront, dead, eventually};

use super::{Collector, comes_to, config, config_to, metric, told};

const OWN: &str = "routes: [{ name: own, respond: {} }]";

#[tokio::test]
async fn spans_go_out_as_the_settings_say() {
    let collector = Collector::start().await;
    let keys = "sample: 100%, service: shop-edge, headers: { X-Token: of-a-tenant }, \
                resource: { deployment.environment.name: production }";
    let edge = Edge::start(&config(&collector, keys, OWN)).await;
    edge.get("/").await;
    collector.spans_of(1).await;
    let request = &collector.requests()[0];
    assert_eq!(request.line(), "POST /v1/traces HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    assert_eq!(request.header("x-token"), Some("of-a-tenant"));
    let resource = format!("{:?}", collector.resource());
    for part in ["shop-edge", "deployment.environment.name", "production"] {
        assert!(resource.contains(part), "{resource}");
    }
    comes_to(&edge, "evener_spans_exported_total", 1.0).await;
    assert_eq!(metric(&edge, "evener_spans_dropped_total").await, Some(0.0));
    assert_eq!(metric(&edge, "evener_spans_waiting").await, Some(0.0));
}

#[tokio::test]
async fn a_collector_over_tls_is_verified() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, other) = (Ca::new("own"), Ca::new("other"));
    let [own, strange] = [(&ca, "own"), (&other, "strange")].map(|(ca, name)| ca.write(folder.path(), name));
    let collector = Collector::start().await;
    let front = TlsFront::new(ca.issue(&["localhost"]).server(&["http/1.1"]), collector.address()).await;
    let port = front.address().port();
    let config = |ca: &std::path::Path| {
        let ca = ca.display();
        let keys = format!("to: 'https://localhost:{port}', every: 100ms, sample: 100%, ca: '{ca}'");
        config_to(&keys, OWN)
    };
    let edge = Edge::start(&config(&strange)).await;
    edge.get("/").await;
    eventually("it is not believed", async || {
        metric(&edge, "evener_span_export_failures_total").await > Some(0.0)
    })
    .await;
    assert_eq!(collector.requests().len(), 0);
    let edge = Edge::start(&config(&own)).await;
    edge.get("/").await;
    collector.spans_of(1).await;
}

#[tokio::test]
async fn requests_do_not_mind_a_collector_that_is_gone() {
    let gone = dead().await;
    let keys = format!("to: 'http://{gone}', every: 100ms, sample: 100%, max_queue: 512");
    let edge = Edge::start(&config_to(&keys, OWN)).await;
    let mut client = edge.connect().await;
    for _ in 0..600 {
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.status, 200);
    }
    comes_to(&edge, "evener_spans_dropped_total", 88.0).await;
    assert_eq!(metric(&edge, "evener_spans_waiting").await, Some(512.0));
    assert!(metric(&edge, "evener_span_export_failures_total").await >= Some(1.0));
    let begun = Instant::now();
    edge.stop().await;
    assert!(begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_collector_that_comes_back_gets_what_waited() {
    let collector = Collector::start().await;
    collector.answer(503);
    let edge = Edge::start(&config(&collector, "sample: 100%", OWN)).await;
    edge.get("/").await;
    eventually("it is asked", async || !collector.requests().is_empty()).await;
    edge.get("/").await;
    collector.answer(200);
    comes_to(&edge, "evener_spans_exported_total", 2.0).await;
    assert_eq!(metric(&edge, "evener_spans_dropped_total").await, Some(0.0));
    assert_eq!(metric(&edge, "evener_span_export_failures_total").await, Some(1.0));
}

#[tokio::test]
async fn what_the_collector_refuses_is_dropped() {
    let collector = Collector::start().await;
    collector.answer(400);
    let edge = Edge::start(&config(&collector, "sample: 100%", OWN)).await;
    edge.get("/").await;
    comes_to(&edge, "evener_spans_dropped_total", 1.0).await;
    assert_eq!(collector.requests().len(), 1, "and not sent again");
}

#[tokio::test]
async fn a_collector_that_stands_still_holds_nobody_up() {
    let still = Endpoint::silent().await;
    let keys = format!("to: 'http://{}', every: 100ms, sample: 100%", still.address());
    let edge = Edge::start(&config_to(&keys, OWN)).await;
    edge.get("/").await;
    eventually("it is asked", async || !still.requests().is_empty()).await;
    for _ in 0..20 {
        assert_eq!(edge.get("/").await.status, 200);
    }
    assert_eq!(metric(&edge, "evener_spans_waiting").await, Some(21.0));
    // Its time would be up after 10 s.
    let begun = Instant::now();
    edge.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(9), "{:?}", begun.elapsed());
}

#[tokio::test]
async fn a_reload_turns_it_on_and_off_and_to_another_collector() {
    let (first, second) = (Collector::start().await, Collector::start().await);
    let off = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\nadmin: {{ bind: 127.0.0.1:0 }}\n{OWN}\nlog: {{ access: {{ to: LOG }} }}\n"
    );
    let edge = Edge::start(&off).await;
    edge.get("/before").await;
    assert_eq!(metric(&edge, "evener_spans_exported_total").await, None);
    let told_diff = edge.reload(&config(&first, "sample: 100%", OWN)).await;
    assert!(told_diff.contains("tracing"), "{told_diff}");
    edge.get("/first").await;
    let spans = first.spans_of(1).await;
    assert_eq!(told(&spans[0], "url.path").unwrap(), "/first");
    edge.reload(&config(&second, "sample: 100%", OWN)).await;
    edge.get("/second").await;
    let spans = second.spans_of(1).await;
    assert_eq!(told(&spans[0], "url.path").unwrap(), "/second");
    comes_to(&edge, "evener_spans_exported_total", 2.0).await;
    edge.reload(&off).await;
    edge.get("/after").await;
    let log = edge.log_of(4).await;
    let traced: Vec<_> = log.iter().map(|line| line.get("trace_id").is_some()).collect();
    assert_eq!(traced, [false, true, true, false]);
    assert_eq!((first.spans().len(), second.spans().len()), (1, 1));
}

#[tokio::test]
async fn what_waits_when_it_is_turned_off_is_sent() {
    let collector = Collector::start().await;
    let keys = format!("to: 'http://{}', every: 1m, sample: 100%", collector.address());
    let edge = Edge::start(&config_to(&keys, OWN)).await;
    edge.get("/").await;
    edge.log_of(1).await;
    let off =
        format!("listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n{OWN}\nlog: {{ access: {{ to: LOG }} }}\n");
    edge.reload(&off).await;
    collector.spans_of(1).await;
}

#[tokio::test]
async fn the_end_of_the_process_sends_what_waits() {
    let collector = Collector::start().await;
    let keys = format!("to: 'http://{}', every: 1m, sample: 100%", collector.address());
    let edge = Edge::start(&config_to(&keys, OWN)).await;
    for _ in 0..3 {
        edge.get("/").await;
    }
    edge.log_of(3).await;
    assert_eq!(collector.requests().len(), 0);
    edge.stop().await;
    assert_eq!(collector.spans().len(), 3);
    assert_eq!(collector.requests().len(), 1);
}

/// A process whose spans wait for a minute, unless it ends before.
async fn process(collector: &Collector) -> Running {
    let config = format!(
        "server: {{ control_socket: control.sock, drain: {{ accept_grace: 0s }} }}\n\
         listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         tracing: {{ to: 'http://{}', every: 1m, sample: 100% }}\n\
         {OWN}\n\
         log: {{ access: {{ to: access.log }} }}\n",
        collector.address()
    );
    let running = Running::start(&config, 1).await;
    let mut client = Client::connect(running.address()).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    let log = running.file("access.log");
    eventually("it has its line", async || std::fs::read(&log).is_ok_and(|lines| !lines.is_empty())).await;
    assert_eq!(collector.requests().len(), 0);
    running
}

#[tokio::test]
async fn a_process_that_is_told_to_end_sends_what_waits() {
    let collector = Collector::start().await;
    let mut running = process(&collector).await;
    running.signal(Signal::TERM);
    assert_eq!(running.exit_code().await, Some(0));
    assert_eq!(collector.spans().len(), 1);
}

#[tokio::test]
async fn a_process_that_another_one_takes_over_from_sends_what_waits() {
    let collector = Collector::start().await;
    let running = process(&collector).await;
    let (code, out, err) = running.evener(&["upgrade", "--socket", "control.sock"]).await;
    assert_eq!((code, err.as_str()), (0, ""), "{out}");
    collector.spans_of(1).await;
}
