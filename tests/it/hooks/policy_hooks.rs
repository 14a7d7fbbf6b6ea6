//! What filters of a traffic policy stand on: ends, limits, variables, tunnels, jobs and files.

use std::future::pending;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use evener::app::{App, AppBuilder};
use evener::hooks::{
    BuildCx, BuildError, End, Filter, FilterCx, Flow, HookError, Job, JobCx, Needs, RequestView,
    ResponseView, Watched,
};
use evener::types::VarName;
use http::{HeaderName, HeaderValue};
use parking_lot::Mutex;
use serde::Deserialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Edge, Endpoint, eventually};

/// What a filter was told, in the order in which it was.
type Told = Arc<Mutex<Vec<String>>>;

/// Remembers ends and the bytes that it was shown, and does what the path says.
struct Watcher {
    told: Told,
    sees_tunnels: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    #[serde(default)]
    tunnels: bool,
}

#[async_trait]
impl Filter for Watcher {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        match request.path() {
            "/never" => pending().await,
            "/short" => cx.limit_total(Duration::from_millis(100)),
            "/small" => cx.limit_body(4),
            path => {
                let name: VarName = "seen.path".parse().unwrap();
                cx.set_var(&name, path.to_owned())?;
            }
        }
        Ok(Flow::Continue)
    }

    fn on_request_body(
        &self,
        body: &mut Option<Bytes>,
        _: bool,
        _: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        let piece = body.as_deref().unwrap_or_default();
        self.told.lock().extend((!piece.is_empty()).then(|| format!("in {}", piece.len())));
        Ok(())
    }

    fn on_response_body(
        &self,
        body: &mut Option<Bytes>,
        _: bool,
        _: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        let piece = body.as_deref().unwrap_or_default();
        self.told.lock().extend((!piece.is_empty()).then(|| format!("out {}", piece.len())));
        Ok(())
    }

    fn on_end(&self, end: &End<'_>, cx: &mut FilterCx<'_>) {
        let status = end.status.map_or(0, |status| status.as_u16());
        let cause = end.cause.unwrap_or("-");
        let endpoint = cx.endpoint().is_some();
        self.told.lock().push(format!("end {status} {cause} {} {endpoint}", end.bytes_out));
    }

    fn needs(&self) -> Needs {
        let bodies = if self.sees_tunnels { Needs::TUNNELS } else { Needs::BODIES };
        bodies.and(Needs::END)
    }
}

fn watcher() -> (AppBuilder, Told) {
    let told = Told::default();
    let kept = told.clone();
    let build = move |settings: Settings, _: &BuildCx<'_>| {
        Ok::<_, BuildError>(Watcher { told: kept.clone(), sees_tunnels: settings.tunnels })
    };
    (App::builder().filter("watcher", build), told)
}

fn site(endpoint: &Endpoint, pool: &str, filters: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ endpoints: [{}], {pool} }} }}\n\
         routes: [{{ filters: [{filters}], pool: app }}]",
        endpoint.address()
    )
}

/// All that was told, once the end was.
async fn ended(told: &Told) -> Vec<String> {
    eventually("the end is told", async || told.lock().iter().any(|line| line.starts_with("end "))).await;
    std::mem::take(&mut *told.lock())
}

#[tokio::test]
async fn the_end_of_a_request_is_told_once_whatever_became_of_it() {
    let endpoint = Endpoint::with(|request| match request.path() {
        "/missing" => "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno".to_owned(),
        "/nonsense" => "what?\r\n\r\n".to_owned(),
        _ => "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello".to_owned(),
    })
    .await;
    let (builder, told) = watcher();
    let limit = "{ watcher: {} }, { rate_limit: { rate: 1/h, burst: 3 } }";
    let edge = Edge::start_with(builder, &site(&endpoint, "", limit)).await;
    edge.get("/").await;
    assert_eq!(ended(&told).await, ["out 5", "end 200 - 5 true"]);
    edge.get("/missing").await;
    assert_eq!(ended(&told).await, ["out 2", "end 404 - 2 true"]);
    let failed = edge.get("/nonsense").await;
    let length = failed.body.len();
    assert_eq!(
        ended(&told).await,
        [format!("out {length}"), format!("end 502 upstream_invalid {length} true")]
    );
    let refused = edge.get("/").await;
    let length = refused.body.len();
    assert_eq!(
        (refused.status, ended(&told).await),
        (429, vec![format!("out {length}"), format!("end 429 rate_limited {length} false")])
    );
}

#[tokio::test]
async fn the_end_is_told_when_the_client_has_gone() {
    let endpoint = Endpoint::silent().await;
    let (builder, told) = watcher();
    let edge = Edge::start_with(builder, &site(&endpoint, "", "{ watcher: {} }")).await;
    let mut client = edge.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("the endpoint has the request", async || !endpoint.requests().is_empty()).await;
    drop(client);
    assert_eq!(ended(&told).await, ["end 0 client_gone 0 true"]);
}

#[tokio::test]
async fn filters_narrow_what_a_request_may_take_and_send() {
    let silent = Endpoint::silent().await;
    let (builder, told) = watcher();
    let edge = Edge::start_with(builder, &site(&silent, "", "{ watcher: {} }")).await;
    assert_eq!(edge.get("/short").await.status, 504);
    ended(&told).await;
    let endpoint = Endpoint::answering("hello").await;
    let (builder, _) = watcher();
    let edge = Edge::start_with(builder, &site(&endpoint, "", "{ watcher: {} }")).await;
    let post =
        |length: &str, body: &str| format!("POST /small HTTP/1.1\r\nHost: a\r\n{length}\r\n\r\n{body}");
    assert_eq!(edge.send(&post("Content-Length: 4", "1234")).await.status, 200);
    assert_eq!(edge.send(&post("Content-Length: 5", "12345")).await.status, 413);
    let chunked = "Transfer-Encoding: chunked";
    assert_eq!(edge.send(&post(chunked, "3\r\n123\r\n1\r\n4\r\n0\r\n\r\n")).await.status, 200);
    assert_eq!(edge.send(&post(chunked, "3\r\n123\r\n2\r\n45\r\n0\r\n\r\n")).await.status, 413);
}

#[tokio::test]
async fn a_filter_that_waits_for_ever_does_not_hold_its_request_for_ever() {
    let endpoint = Endpoint::answering("hello").await;
    let (builder, told) = watcher();
    let edge =
        Edge::start_with(builder, &site(&endpoint, "timeouts: { total: 200ms }", "{ watcher: {} }")).await;
    let answer = edge.get("/never").await;
    assert_eq!(answer.status, 504);
    assert!(ended(&told).await.last().unwrap().starts_with("end 504 total_timeout "));
    assert_eq!(endpoint.requests().len(), 0);
}

#[tokio::test]
async fn variables_are_there_for_filters_after_for_keys_and_for_templates() {
    let endpoint = Endpoint::answering("hello").await;
    let (builder, _) = watcher();
    let filters = "{ watcher: {} }, { rate_limit: { rate: 1/h, burst: 1, key: { var: seen.path } } }, \
                   { response_headers: { set: { X-Seen: '<{var.seen.path}|{var.other}>' } } }, \
                   { request_headers: { set: { X-Path: '{var.seen.path}' } } }";
    let edge = Edge::start_with(builder, &site(&endpoint, "", filters)).await;
    let first = edge.get("/a").await;
    assert_eq!((first.status, first.header("x-seen")), (200, Some("</a|>")));
    assert_eq!(endpoint.last().header("x-path"), Some("/a"));
    assert_eq!([edge.get("/a").await.status, edge.get("/b").await.status], [429, 200]);
}

#[tokio::test]
async fn what_passes_after_an_upgrade_is_shown_to_those_who_ask_for_it() {
    let endpoint = Endpoint::scripted(|mut exchange| async move {
        let switch = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
        exchange.send(switch).await;
        let mut piece = [0; 1024];
        while let Ok(count @ 1..) = exchange.stream.read(&mut piece).await {
            exchange.stream.write_all(&piece[..count]).await.ok()?;
        }
        None
    })
    .await;
    for (settings, seen) in [("{}", &[][..]), ("{ tunnels: true }", &["in 5", "out 5"][..])] {
        let (builder, told) = watcher();
        let filters = format!("{{ watcher: {settings} }}");
        let edge = Edge::start_with(builder, &site(&endpoint, "", &filters)).await;
        let mut client = edge.connect().await;
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket";
        client.send(format!("GET /chat HTTP/1.1\r\nHost: a\r\n{upgrade}\r\n\r\n")).await;
        assert_eq!(client.response().await.status, 101);
        client.send("hello").await;
        assert_eq!(client.exactly(5).await, b"hello");
        drop(client);
        let told = ended(&told).await;
        assert_eq!(told[..told.len() - 1], *seen, "{settings}");
        assert!(told.last().unwrap().starts_with("end 101 "), "{told:?}");
    }
}

/// Tells what a file says, and how often its job has begun.
struct FromFile {
    word: Watched<String>,
    ticks: Arc<Ticks>,
}

#[derive(Default)]
struct Ticks {
    begun: AtomicUsize,
    running: Arc<AtomicUsize>,
}

struct Runs(Arc<AtomicUsize>);

impl Drop for Runs {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Job for Ticks {
    async fn run(&self, _: &JobCx) {
        self.begun.fetch_add(1, Ordering::Relaxed);
        self.running.fetch_add(1, Ordering::Relaxed);
        let _runs = Runs(self.running.clone());
        pending().await
    }
}

fn word(bytes: &[u8]) -> Result<String, String> {
    let text = String::from_utf8(bytes.to_vec()).map_err(|error| error.to_string())?;
    if text.contains(' ') { Err("more than one word".to_owned()) } else { Ok(text) }
}

impl Filter for FromFile {
    fn on_response(&self, response: &mut ResponseView<'_>, _: &mut FilterCx<'_>) -> Result<(), HookError> {
        let told = format!("{} {}", self.word.get(), self.ticks.begun.load(Ordering::Relaxed));
        let value = HeaderValue::from_str(&told).unwrap();
        response.set_header(HeaderName::from_static("x-word"), value)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSettings {
    file: PathBuf,
}

#[tokio::test]
async fn files_and_jobs_of_hooks_live_over_reloads_for_as_long_as_they_are_asked_for() {
    let running = Arc::new(AtomicUsize::new(0));
    let count = running.clone();
    let builder = App::builder().filter("from_file", move |settings: FileSettings, cx: &BuildCx<'_>| {
        let word = cx.watch_file(&settings.file, word).map_err(|error| error.at("file"))?;
        let running = count.clone();
        Ok::<_, BuildError>(FromFile {
            word,
            ticks: cx.job("ticks", || Ticks { running, ..Ticks::default() }),
        })
    });
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("word");
    let config = |body: &str, filters: &str| {
        format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
             routes: [{{ filters: [{filters}], respond: {{ body: {body} }} }}, \
             {{ match: {{ path: /two }}, filters: [{filters}], respond: {{ body: two }} }}]"
        )
    };
    let with_file = format!("{{ from_file: {{ file: '{}' }} }}", file.display());
    std::fs::write(&file, "one").unwrap();
    let edge = Edge::start_with(builder, &config("a", &with_file)).await;
    let told = async |path| edge.get(path).await.header("x-word").map(str::to_owned);
    eventually("the job runs", async || told("/").await.as_deref() == Some("one 1")).await;
    assert_eq!(told("/two").await.as_deref(), Some("one 1"), "one for all");
    std::fs::write(&file, "another").unwrap();
    eventually("the file is read again", async || told("/").await.as_deref() == Some("another 1")).await;
    edge.reload(&config("b", &with_file)).await;
    assert_eq!((told("/").await.as_deref(), running.load(Ordering::Relaxed)), (Some("another 1"), 1));
    std::fs::write(&file, "two words").unwrap();
    let refused = edge.try_reload(&config("c", &with_file)).await.unwrap_err();
    assert!(
        refused.contains("from_file.file: `") && refused.contains("word`: more than one word"),
        "{refused}"
    );
    assert_eq!((told("/").await.as_deref(), running.load(Ordering::Relaxed)), (Some("another 1"), 1));
    edge.reload(&config("d", "")).await;
    eventually("the job has ended", async || running.load(Ordering::Relaxed) == 0).await;
}
