use std::io;

use async_trait::async_trait;
use bytes::Bytes;
use evener::app::App;
use evener::hooks::{
    Answer, Body, BodySource, BuildCx, BuildError, Filter, FilterCx, Flow, HookError, Needs, RequestView,
    ResponseView, testing,
};
use http::header::CONTENT_LENGTH;
use http::{Request, StatusCode};
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use crate::support::{Edge, Endpoint, PATIENCE};
use crate::wire::http2::H2;

/// Writes letters large, drops digits, and adds a word at the end.
struct Shout;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NoSettings {}

impl Shout {
    fn shout(body: &mut Option<Bytes>, end: bool) {
        let piece = body.take().unwrap_or_default();
        let mut loud: Vec<u8> = piece.to_ascii_uppercase();
        loud.retain(|byte| !byte.is_ascii_digit());
        if end {
            loud.extend_from_slice(b"!");
        }
        *body = (!loud.is_empty()).then(|| loud.into());
    }
}

#[async_trait]
impl Filter for Shout {
    /// The length changes, so the body goes on in chunks.
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        _: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        request.remove_header(&CONTENT_LENGTH);
        Ok(Flow::Continue)
    }

    fn on_request_body(
        &self,
        body: &mut Option<Bytes>,
        end: bool,
        _: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        Self::shout(body, end);
        Ok(())
    }

    fn on_response(&self, response: &mut ResponseView<'_>, _: &mut FilterCx<'_>) -> Result<(), HookError> {
        response.remove_header(&CONTENT_LENGTH);
        Ok(())
    }

    fn on_response_body(
        &self,
        body: &mut Option<Bytes>,
        end: bool,
        _: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        Self::shout(body, end);
        Ok(())
    }

    fn needs(&self) -> Needs {
        Needs::BODIES
    }
}

#[tokio::test]
async fn both_bodies_can_be_changed() {
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
         7\r\nanswer \r\n2\r\n42\r\n4\r\nnow \r\n0\r\n\r\n"
            .to_owned()
    })
    .await;
    let builder = App::builder().filter("shout", |_: NoSettings, _: &BuildCx<'_>| Ok::<_, BuildError>(Shout));
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ endpoints: [{}] }} }}\n\
         routes: [{{ filters: [{{ shout: {{}} }}], pool: app }}]",
        endpoint.address()
    );
    let edge = Edge::start_with(builder, &config).await;
    let mut client = edge.connect().await;
    for _ in 0..2 {
        client.send("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
        for piece in ["2\r\nab\r\n", "2\r\n12\r\n", "2\r\ncd\r\n", "0\r\n\r\n"] {
            client.send(piece).await;
        }
        assert_eq!(client.response().await.text(), "ANSWER NOW !");
        assert_eq!(String::from_utf8_lossy(&endpoint.last().body), "ABCD!");
    }
}

#[test]
fn bodies_can_be_tested_without_a_network() {
    let mut exchange = testing::Exchange::get("/", Instant::now());
    let mut piece = Some(Bytes::from_static(b"a1"));
    exchange.on_request_body(&Shout, &mut piece, false).unwrap();
    assert_eq!(piece.as_deref(), Some(&b"A"[..]));
    let mut nothing = None;
    exchange.on_response_body(&Shout, &mut nothing, true).unwrap();
    assert_eq!(nothing.as_deref(), Some(&b"!"[..]));
}

/// Counts down to nothing, or breaks off on the way.
struct Countdown {
    from: u32,
    breaks_at: Option<u32>,
}

#[async_trait]
impl BodySource for Countdown {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.breaks_at == Some(self.from) {
            return Err(io::Error::other("broken"));
        }
        tokio::task::yield_now().await;
        let Some(next) = self.from.checked_sub(1) else { return Ok(None) };
        Ok(Some(format!("n{} ", std::mem::replace(&mut self.from, next)).into()))
    }

    fn left(&self) -> Option<u64> {
        None
    }
}

/// Answers by a stream of which nobody knows the length.
struct Counts;

#[async_trait]
impl Filter for Counts {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        _: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        let breaks_at = (request.path() == "/loud/broken").then_some(2);
        Ok(Answer::new(StatusCode::OK, Body::stream(Countdown { from: 3, breaks_at })).into())
    }
}

async fn answering_edge() -> Edge {
    let builder = App::builder()
        .filter("shout", |_: NoSettings, _: &BuildCx<'_>| Ok::<_, BuildError>(Shout))
        .filter("counts", |_: NoSettings, _: &BuildCx<'_>| Ok::<_, BuildError>(Counts));
    let config = "listeners: { web: { bind: 127.0.0.1:0 } }\n\
         log: { access: { to: LOG } }\n\
         routes:\n\
         \x20 - { match: { path: /plain }, filters: [{ counts: {} }], respond: {} }\n\
         \x20 - { match: { path: /loud }, filters: [{ shout: {} }, { counts: {} }], respond: {} }\n\
         \x20 - { match: { path: /whole }, filters: [{ shout: {} }], respond: { body: a1b } }\n\
         \x20 - { match: { path: /empty }, filters: [{ shout: {} }], respond: {} }\n\
         \x20 - { match: { path: /none }, filters: [{ shout: {} }], respond: { status: 204 } }\n";
    Edge::start_with(builder, config).await
}

#[tokio::test]
async fn bodies_made_at_the_edge_pass_the_filters_too() {
    let edge = answering_edge().await;
    let mut client = edge.connect().await;
    let cases =
        [("/plain", "n3 n2 n1 "), ("/loud", "N N N !"), ("/whole", "AB!"), ("/empty", "!"), ("/none", "")];
    for (path, text) in cases.into_iter().chain(cases) {
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(client.response().await.text(), text, "{path}");
        client.send(format!("HEAD {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        assert_eq!(client.response().await.text(), "", "{path}");
    }
    let h2 = H2::connect(&edge).await;
    for (path, text) in cases {
        assert_eq!(h2.get(path).await.body(), text, "{path}");
        let old = edge.send(&format!("GET {path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")).await;
        assert_eq!(old.text(), text, "{path}");
        assert_eq!(old.header("transfer-encoding"), None, "{}", old.head);
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_does_not_end_as_if_it_were_whole() {
    let edge = answering_edge().await;
    let mut client = edge.connect().await;
    client.send("GET /loud/broken HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert!(client.head().await.contains("chunked"));
    let rest = client.rest().await;
    assert!(rest.ends_with(b"N \r\n"), "{}", rest.escape_ascii());
    let h2 = H2::connect(&edge).await;
    let response = h2.start(Request::get("http://a/loud/broken"), "").await;
    let mut body = timeout(PATIENCE, response).await.unwrap().unwrap().into_body();
    loop {
        match timeout(PATIENCE, body.data()).await.unwrap() {
            Some(Ok(_)) => {}
            Some(Err(error)) => break assert!(error.is_reset(), "{error}"),
            None => panic!("the answer ends as if it were whole"),
        }
    }
    let log = edge.log_of(2).await;
    assert!(log.iter().all(|line| line["cause"] == "answer_broken" && line["status"] == 200), "{log:?}");
}
