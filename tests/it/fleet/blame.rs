//! What a failure or a delay is put down to: the endpoint, the client, or the queue.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use evener::app::{App, AppBuilder};
use evener::hooks::{BuildCx, Filter, FilterCx, HookError, Member, PickCx, Policy, PoolRef, ResponseView};
use evener::types::Random;
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Edge, Endpoint, Spy, eventually};

use super::{OK, fleet, fleet_of};

/// How long clients and endpoints pause here.
const PAUSE: Duration = Duration::from_secs(1);

async fn in_order(keys: &str, endpoints: &[&Endpoint]) -> Edge {
    let pool = format!("balance: spy, outlier: off, {keys},");
    Edge::start_with(Spy::default().register(App::builder()), &fleet_of(&pool, endpoints)).await
}

/// A client whose upload pauses for longer than per_try.
#[tokio::test]
async fn a_slow_upload_is_not_cut_by_per_try() {
    let (one, two) = (Endpoint::answering("good").await, Endpoint::answering("good").await);
    let edge = in_order("retry: { on: timeout, per_try: 50ms }", &[&one, &two]).await;
    let mut client = edge.connect().await;
    client.send("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nbody").await;
    sleep(PAUSE).await;
    client.send("body").await;
    let response = client.response().await;
    assert_eq!(response.status, 200, "{}", response.head);
}

/// A body too large to be repeated: nothing can follow, so the attempt has all of first_byte.
#[tokio::test]
async fn what_cannot_be_repeated_has_all_the_time() {
    let slow = || {
        Endpoint::scripted(|mut exchange| async move {
            sleep(PAUSE).await;
            exchange.send(OK).await;
            Some(exchange)
        })
    };
    let (one, two) = (slow().await, slow().await);
    let edge = in_order("retry: { on: timeout, per_try: 50ms }", &[&one, &two]).await;
    let length = 200 * 1024;
    let put = format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n{}", "x".repeat(length));
    let response = edge.send(&put).await;
    assert_eq!(response.status, 200, "{}", response.head);
}

/// An endpoint that stops reading an upload.
#[tokio::test]
async fn an_endpoint_that_stops_reading_is_to_blame() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let task = tokio::spawn(async move {
        let mut all = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            all.push(stream);
        }
    });
    let mut found = Vec::new();
    for timeouts in ["{ first_byte: 300ms, idle: 300ms }", "{ first_byte: 200ms, idle: 400ms }"] {
        let edge = Edge::start(
            &fleet(&format!("timeouts: {timeouts},"), &[&address])
                .replace("bind: 127.0.0.1:0", "bind: 127.0.0.1:0, limits: { body: { size: 1GiB } }"),
        )
        .await;
        let mut client = edge.connect().await;
        let length = 50 << 20;
        client.send(format!("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")).await;
        let piece = "x".repeat(1 << 16);
        while let Ok(Ok(())) = timeout(Duration::from_secs(2), client.try_send(&piece)).await {}
        let line = &edge.log_of(1).await[0];
        found.push(format!("{timeouts}: {} {}", line["status"], line["cause"]));
    }
    task.abort();
    assert!(found.iter().all(|line| line.contains("504")), "{found:?}");
}

#[derive(Deserialize)]
struct NoSettings {}

/// Picks the first, and shows the members.
#[derive(Clone, Default)]
struct Show(Arc<Mutex<Vec<Member>>>);

impl Policy for Show {
    fn pick(&self, members: &[Member], _: &PickCx<'_>, _: &mut Random) -> usize {
        members.len() - 1
    }
}

impl Show {
    fn builder(&self) -> AppBuilder {
        let show = self.clone();
        App::builder().policy("show", move |_: NoSettings, _: &BuildCx<'_>| {
            let show = show.clone();
            Ok(move |members: &[Member]| {
                *show.0.lock() = members.to_vec();
                show.clone()
            })
        })
    }
    fn latency(&self) -> f64 {
        self.0.lock().last().unwrap().latency(Instant::now()).unwrap()
    }
}

/// The client takes its time for its upload; the endpoint answers at once.
#[tokio::test]
async fn a_slow_upload_is_no_latency_of_the_endpoint() {
    let good = Endpoint::answering("good").await;
    let show = Show::default();
    let edge = Edge::start_with(show.builder(), &fleet("balance: show,", &[&good.address()])).await;
    let mut client = edge.connect().await;
    client.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 8\r\n\r\nbody").await;
    sleep(PAUSE).await;
    client.send("body").await;
    assert_eq!(client.response().await.status, 200);
    assert!(show.latency() < PAUSE.as_secs_f64() * 0.9, "{}", show.latency());
}

/// The endpoint sends its head at once and the body later, so the second request waits in the queue.
#[tokio::test]
async fn the_queue_is_no_latency_of_the_endpoint() {
    let slow = Endpoint::scripted(|mut exchange| async move {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n").await;
        sleep(PAUSE).await;
        exchange.send("ok").await;
        Some(exchange)
    })
    .await;
    let show = Show::default();
    let edge =
        Edge::start_with(show.builder(), &fleet("balance: show, max_requests: 1,", &[&slow.address()])).await;
    let (mut one, mut two) = (edge.connect().await, edge.connect().await);
    one.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the first is served", async || slow.requests().len() == 1).await;
    two.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(one.response().await.status, 200);
    assert_eq!(two.response().await.status, 200);
    assert!(show.latency() < PAUSE.as_secs_f64() * 0.9, "{}", show.latency());
}

struct Moves(PoolRef);

#[async_trait]
impl Filter for Moves {
    fn on_response(&self, _: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        cx.set_pool(self.0);
        Ok(())
    }
}

/// The documentation: "later it has no effect on this request".
#[tokio::test]
async fn another_pool_after_the_answer_has_no_effect() {
    let good = Endpoint::answering("good").await;
    let show = Show::default();
    let builder =
        show.builder().filter("moves", |_: NoSettings, cx: &BuildCx<'_>| Ok(Moves(cx.pool("other")?)));
    let address = good.address();
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools:\n  app: {{ balance: show, endpoints: ['127.0.0.1:1', '{address}'] }}\n  \
         other: {{ endpoints: ['127.0.0.1:1'], sticky: {{ cookie: c, secret: {{ file: SECRET }} }} }}\n\
         routes: [{{ pool: app, filters: [{{ moves: {{}} }}] }}]\n\
         log: {{ access: {{ to: LOG }} }}\n"
    );
    let dir = tempfile::tempdir().unwrap();
    let secret = dir.path().join("s");
    std::fs::write(&secret, [7u8; 32]).unwrap();
    let edge = Edge::start_with(builder, &config.replace("SECRET", secret.to_str().unwrap())).await;
    let response = edge.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(response.status, 200);
}

/// Each answer breaks off after its head: none succeeds.
#[tokio::test]
async fn answers_that_break_off_are_failures_in_a_row() {
    let broken = Endpoint::scripted(|mut exchange| async move {
        exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab").await;
        None
    })
    .await;
    let good = Endpoint::answering("good").await;
    let keys = "balance: round_robin, outlier: { consecutive: 5, failure_rate: 80% },";
    let edge = Edge::start(&fleet(keys, &[&broken.address(), &good.address()])).await;
    for _ in 0..80 {
        let mut client = edge.connect().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        client.rest().await;
    }
    assert_eq!(broken.requests().len(), 5);
}

/// A kept connection turns out to be closed when a POST is sent on it.
#[tokio::test]
async fn a_stale_connection_is_no_failure_of_the_endpoint() {
    let one_each = Endpoint::scripted(|mut exchange| async move {
        if exchange.request.line().starts_with("POST") {
            return None;
        }
        exchange.send(OK).await;
        Some(exchange)
    })
    .await;
    let show = Show::default();
    let edge = Edge::start_with(show.builder(), &fleet("balance: show,", &[&one_each.address()])).await;
    assert_eq!(edge.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.status, 200);
    let post = edge.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nok").await;
    assert_eq!(post.status, 502);
    assert!(show.latency() < 1.0, "{}", show.latency());
}
