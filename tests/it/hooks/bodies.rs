use async_trait::async_trait;
use bytes::Bytes;
use evener::app::App;
use evener::hooks::{
    BuildCx, BuildError, Filter, FilterCx, Flow, HookError, Needs, RequestView, ResponseView, testing,
};
use http::header::CONTENT_LENGTH;
use serde::Deserialize;
use tokio::time::Instant;

use crate::support::{Edge, Endpoint};

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
