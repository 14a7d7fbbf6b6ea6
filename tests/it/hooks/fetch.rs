//! Requests of a hook's own to a pool, by a filter that answers with what came of one.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use evener::app::{App, AppBuilder};
use evener::hooks::{
    Answer, BuildCx, BuildError, FetchError, FetchLimits, Filter, FilterCx, Flow, HookError, Job, JobCx,
    Larger, PoolClient, RequestView,
};
use evener::types::PoolName;
use http::{HeaderValue, Request, StatusCode};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::sync::Notify;

use crate::support::{Ca, Edge, Endpoint, H2Endpoint, Response, dead, eventually};

/// Sends each request's method and path to a pool, and answers with `STATUS BODY` or why there is none.
struct Ask(PoolClient, FetchLimits);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    pool: String,
    #[serde(default)]
    cut: bool,
}

const LIMITS: FetchLimits =
    FetchLimits { total: Duration::from_secs(10), head: 200, body: 8, larger: Larger::Refuse };

#[async_trait]
impl Filter for Ask {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        let own = Request::builder().method(request.method()).uri(request.path());
        let body = request.header("x-body").map_or(&b""[..], HeaderValue::as_bytes);
        let own = own.header("x-own", "1").body(Bytes::copy_from_slice(body)).unwrap();
        let mut limits = self.1;
        if request.path() == "/hasty" {
            limits.total = Duration::from_millis(200);
        }
        let told = match self.0.for_client(cx.facts().client_ip).send(own, limits).await {
            Ok(fetched) => {
                assert_eq!(fetched.headers.get("connection"), None);
                format!("{} {}", fetched.status.as_u16(), String::from_utf8_lossy(&fetched.body))
            }
            Err(FetchError::Connect(_)) => "connect".to_owned(),
            Err(FetchError::Broken(_)) => "broken".to_owned(),
            Err(error) => error.to_string(),
        };
        Ok(Answer::new(StatusCode::OK, told).into())
    }
}

fn ask(settings: Settings, cx: &BuildCx<'_>) -> Result<Ask, BuildError> {
    let Settings { pool, cut } = settings;
    let client = cx.client(cx.pool(&pool)?);
    let larger = if cut { Larger::Cut } else { Larger::Refuse };
    Ok(Ask(client, FetchLimits { larger, ..LIMITS }))
}

fn builder() -> AppBuilder {
    App::builder().filter("ask", ask)
}

fn config(pool: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ own: {{ {pool} }} }}\n\
         routes:\n\
         - match: {{ path: /cut/ }}\n  filters: [{{ ask: {{ pool: own, cut: true }} }}]\n  respond: {{}}\n\
         - filters: [{{ ask: {{ pool: own }} }}]\n  respond: {{}}\n"
    )
}

async fn edge_with(pool: &str) -> Edge {
    Edge::start_with(builder(), &config(pool)).await
}

async fn edge_for(endpoints: &[SocketAddr]) -> Edge {
    edge_with(&format!("endpoints: {endpoints:?}")).await
}

async fn told(edge: &Edge, path: &str) -> String {
    edge.get(path).await.text().to_owned()
}

async fn post(edge: &Edge, path: &str, body: &str) -> Response {
    let request = format!("POST {path} HTTP/1.1\r\nHost: a\r\nX-Body: {body}\r\nContent-Length: 0\r\n\r\n");
    edge.send(&request).await
}

#[tokio::test]
async fn requests_go_to_the_pool_over_connections_that_are_kept() {
    let peers = Arc::new(Mutex::new(HashSet::new()));
    let seen = peers.clone();
    let endpoint = Endpoint::scripted(move |mut exchange| {
        seen.lock().insert(exchange.stream.peer_addr().unwrap());
        async move {
            let body = String::from_utf8(exchange.request.body.clone()).unwrap();
            exchange.send(format!("HTTP/1.1 201 Made\r\nContent-Length: {}\r\n\r\n{body}", body.len())).await;
            Some(exchange)
        }
    })
    .await;
    let edge = edge_for(&[endpoint.address()]).await;
    for _ in 0..3 {
        assert_eq!(told(&edge, "/a/b").await, "201 ");
    }
    assert_eq!(post(&edge, "/c", "sent").await.text(), "201 sent");
    assert_eq!(peers.lock().len(), 1);
    let [first, .., last] = &endpoint.requests()[..] else { panic!("four requests") };
    assert_eq!((first.line(), first.header("x-own")), ("GET /a/b HTTP/1.1", Some("1")));
    assert_eq!(first.header("host"), Some(&*endpoint.address().to_string()));
    assert_eq!((last.line(), last.header("content-length")), ("POST /c HTTP/1.1", Some("4")));
}

#[tokio::test]
async fn an_answer_that_is_none_is_told_by_its_kind() {
    let endpoint = Endpoint::scripted(|mut exchange| async move {
        let whole = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        match exchange.request.path() {
            "/hasty" => std::future::pending().await,
            "/half" => {
                exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhal").await;
                return None;
            }
            "/chunks" => exchange.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n").await,
            "/gone" => return None,
            "/garbage" => exchange.send("SSH-2.0-server\r\n\r\n").await,
            "/switch" => exchange.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n").await,
            "/early" => exchange.send(format!("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n{whole}")).await,
            "/hints" => exchange.send("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(40) + whole).await,
            "/head" => {
                let long = "x".repeat(300);
                exchange.send(format!("HTTP/1.1 200 OK\r\nX: {long}\r\nContent-Length: 0\r\n\r\n")).await;
            }
            "/large" | "/cut/large" => {
                exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n123456789012").await;
            }
            _ => exchange.send(whole).await,
        }
        Some(exchange)
    })
    .await;
    let edge = edge_with(&format!("endpoints: [{}], outlier: off", endpoint.address())).await;
    let expected = [
        ("/", "200 ok"),
        ("/hasty", "no answer in time"),
        ("/half", "broken"),
        ("/chunks", "broken"),
        ("/gone", "broken"),
        ("/garbage", "broken"),
        ("/switch", "broken"),
        ("/early", "200 ok"),
        ("/hints", "broken"),
        ("/head", "the answer's head is larger than 200 bytes"),
        ("/large", "the answer's body is larger than 8 bytes"),
        ("/cut/large", "200 12345678"),
        ("/", "200 ok"),
    ];
    for (path, wanted) in expected {
        assert_eq!(told(&edge, path).await, wanted, "{path}");
    }
}

#[tokio::test]
async fn another_endpoint_is_asked_only_where_nothing_was_sent() {
    let alive = Endpoint::answering("here").await;
    let edge = edge_for(&[dead().await, alive.address()]).await;
    for _ in 0..6 {
        assert_eq!(told(&edge, "/").await, "200 here");
    }
    let edge = edge_for(&[dead().await, dead().await]).await;
    assert_eq!(told(&edge, "/").await, "connect");

    let breaking = || Endpoint::scripted(|_| async { None });
    let (one, other) = (breaking().await, breaking().await);
    let edge = edge_for(&[one.address(), other.address()]).await;
    assert_eq!(told(&edge, "/").await, "broken");
    assert_eq!(one.requests().len() + other.requests().len(), 1);
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_for_what_may_be_sent_twice() {
    let served = Arc::new(AtomicUsize::new(0));
    let count = served.clone();
    // Every second request on a connection finds it closed.
    let endpoint = Endpoint::scripted(move |mut exchange| {
        let number = count.fetch_add(1, Ordering::Relaxed);
        async move {
            if number % 2 == 1 {
                return None;
            }
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await;
            Some(exchange)
        }
    })
    .await;
    let edge = edge_for(&[endpoint.address()]).await;
    assert_eq!([told(&edge, "/").await, told(&edge, "/").await], ["200 ok", "200 ok"]);
    assert_eq!(served.load(Ordering::Relaxed), 3);
    assert_eq!(post(&edge, "/", "x").await.text(), "broken");
    assert_eq!(served.load(Ordering::Relaxed), 4);
    // Where the connection was the reason, the endpoint is none the worse for it, and the other one is not needed.
    let other = Endpoint::answering("other").await;
    let pool = format!(
        "endpoints: [{}, {}], balance: first, outlier: {{ consecutive: 1 }}",
        endpoint.address(),
        other.address()
    );
    let edge = edge_with(&pool).await;
    for expected in ["200 ok", "broken", "200 ok"] {
        assert_eq!(post(&edge, "/", "x").await.text(), expected);
    }
}

#[tokio::test]
async fn http2_is_spoken_where_the_pool_does() {
    let refused = Arc::new(AtomicUsize::new(0));
    let count = refused.clone();
    let endpoint = H2Endpoint::scripted(move |mut exchange| {
        let count = count.clone();
        async move {
            let (body, _) = exchange.read().await;
            match exchange.path() {
                "/refused" if count.fetch_add(1, Ordering::Relaxed) == 0 => {
                    exchange.reset(h2::Reason::REFUSED_STREAM);
                }
                "/broken" => {
                    let head = http::Response::new(());
                    let mut stream = exchange.begin(head, false).unwrap();
                    stream.send_reset(h2::Reason::INTERNAL_ERROR);
                }
                _ => exchange.reply(200, body),
            }
        }
    })
    .await;
    let pool = format!("endpoints: [{}], protocol: h2c, outlier: off", endpoint.address());
    let edge = edge_with(&pool).await;
    assert_eq!(told(&edge, "/").await, "200 ");
    assert_eq!(post(&edge, "/", "sent").await.text(), "200 sent");
    assert_eq!(post(&edge, "/refused", "x").await.text(), "200 x");
    assert_eq!(told(&edge, "/broken").await, "broken");
    assert_eq!(told(&edge, "/").await, "200 ");
    let [head, ..] = &endpoint.heads()[..] else { panic!("requests came") };
    assert_eq!(head.uri().authority().unwrap().as_str(), endpoint.address().to_string());
    assert_eq!(endpoint.connections(), 1);
}

#[tokio::test]
async fn tls_is_spoken_as_the_pool_does_it() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, other) = (Ca::new("own"), Ca::new("other"));
    let tls = Arc::new(ca.issue(&["auth.internal"]).server(&["h2"]));
    let endpoint = H2Endpoint::secured(tls, |mut exchange| async move {
        exchange.read().await;
        let host = exchange.head.uri().host().unwrap().to_owned();
        exchange.reply(200, host[..4].to_owned());
    })
    .await;
    let pool = |ca: &Ca, name: &str| {
        let file = ca.write(folder.path(), name);
        let (address, file) = (endpoint.address(), file.display());
        format!(
            "endpoints: [{address}], protocol: auto, outlier: off, tls: {{ ca: \"{file}\", sni: auth.internal }}"
        )
    };
    let edge = edge_with(&pool(&ca, "own.pem")).await;
    assert_eq!(told(&edge, "/").await, "200 auth");
    // What one configuration has verified is nothing to another.
    edge.reload(&config(&pool(&other, "other.pem"))).await;
    assert_eq!(told(&edge, "/").await, "connect");
}

#[tokio::test]
async fn endpoints_are_judged_by_their_answers() {
    let failing = Endpoint::with(|_| "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_owned()).await;
    let sound = Endpoint::answering("ok").await;
    let endpoints = [failing.address(), sound.address()];
    let edge =
        edge_with(&format!("endpoints: {endpoints:?}, outlier: {{ consecutive: 1, eject: 1h }}")).await;
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(told(&edge, "/").await);
    }
    assert!(answers.iter().filter(|answer| *answer == "500 ").count() <= 1, "{answers:?}");
    assert_eq!(failing.requests().len() + sound.requests().len(), 20);
}

#[tokio::test]
async fn limits_of_the_pool_hold() {
    let (endpoint, gate) = Endpoint::held().await;
    let keys = "max_requests: 1, queue: { size: 1, timeout: 30s }";
    let edge = edge_with(&format!("endpoints: [{}], {keys}", endpoint.address())).await;
    let first = told(&edge, "/");
    let rest = async {
        eventually("the first is there", async || endpoint.requests().len() == 1).await;
        // It waits in line for as long as it may.
        assert_eq!(told(&edge, "/hasty").await, "no answer in time");
        assert_eq!(endpoint.requests().len(), 1);
        gate.add_permits(2);
    };
    assert_eq!(tokio::join!(first, rest).0, "200 ok");
    assert_eq!(told(&edge, "/").await, "200 ok");
}

#[tokio::test]
async fn nobody_fit_is_told_at_once() {
    let endpoint = Endpoint::with(|_| "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".to_owned()).await;
    let health = "health: { http: { path: / }, interval: 100ms, timeout: 100ms, fall: 1 }, panic: 0%";
    let edge = edge_with(&format!("endpoints: [{}], {health}", endpoint.address())).await;
    eventually("the endpoint is unfit", async || told(&edge, "/").await == "no endpoint is fit").await;
}

#[tokio::test]
async fn a_reload_that_takes_the_pool_away_fails_no_request() {
    let (endpoint, gate) = Endpoint::held().await;
    let edge = edge_for(&[endpoint.address()]).await;
    let asked = told(&edge, "/");
    let reloading = async {
        eventually("the request is there", async || endpoint.requests().len() == 1).await;
        edge.reload("listeners: { web: { bind: 127.0.0.1:0 } }\nroutes: [{ respond: { body: new } }]\n")
            .await;
        gate.add_permits(1);
    };
    assert_eq!(tokio::join!(asked, reloading).0, "200 ok");
    assert_eq!(told(&edge, "/").await, "new");
}

/// Asks when it is told to, whichever pool is served, and says what it was told last.
#[derive(Default)]
struct Asking {
    told: Mutex<Option<String>>,
    wanted: Notify,
}

#[async_trait]
impl Job for Asking {
    async fn run(&self, cx: &JobCx) {
        let name: PoolName = "own".parse().unwrap();
        loop {
            self.wanted.notified().await;
            let told = match cx.client(&name) {
                Some(client) => {
                    client.send(Request::new(Bytes::new()), LIMITS).await.map(|fetched| fetched.body)
                }
                None => Ok(Bytes::from_static(b"no pool")),
            };
            *self.told.lock() = told.ok().map(|body| String::from_utf8(body.to_vec()).unwrap());
        }
    }
}

struct TellsJob(Arc<Asking>);

#[async_trait]
impl Filter for TellsJob {
    async fn on_request(&self, _: &mut RequestView<'_>, _: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        let told = self.0.told.lock().clone().unwrap_or_default();
        self.0.wanted.notify_one();
        Ok(Answer::new(StatusCode::OK, told).into())
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

#[tokio::test]
async fn a_job_asks_the_pool_that_is_served() {
    let (old, new) = (Endpoint::answering("old").await, Endpoint::answering("new").await);
    let builder = App::builder()
        .filter("tell", |_: NoSettings, cx: &BuildCx<'_>| Ok(TellsJob(cx.job("asking", Asking::default))));
    let config = |pools: &str| {
        format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n{pools}\n\
             routes: [{{ filters: [{{ tell: {{}} }}], respond: {{}} }}]\n"
        )
    };
    let pool = |address| config(&format!("pools: {{ own: {{ endpoints: [{address}] }} }}"));
    let edge = Edge::start_with(builder, &pool(old.address())).await;
    let tells = async |wanted: &str| {
        eventually(wanted, async || told(&edge, "/").await == wanted).await;
    };
    tells("old").await;
    edge.reload(&pool(new.address())).await;
    tells("new").await;
    edge.reload(&config("")).await;
    tells("no pool").await;
}
