use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use evener::app::{App, AppBuilder};
use evener::hooks::{
    Answer, BuildCx, BuildError, Filter, FilterCx, Flow, HookError, Needs, PoolRef, RequestView, ResponseView,
};
use parking_lot::Mutex;
use serde::Deserialize;

use crate::support::{Edge, Endpoint};

type Calls = Arc<Mutex<Vec<String>>>;

/// Notes every call of its methods under its name.
struct Note {
    name: String,
    answers: bool,
    pool: Option<PoolRef>,
    calls: Calls,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    name: String,
    #[serde(default)]
    answers: bool,
    #[serde(default)]
    pool: Option<String>,
}

/// The state of one request.
#[derive(Clone)]
struct Seen(String);

impl Note {
    fn note(&self, phase: &str) {
        self.calls.lock().push(format!("{} {phase}", self.name));
    }
}

#[async_trait]
impl Filter for Note {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        assert!(cx.endpoint().is_none());
        self.note("request");
        cx.extensions_mut().insert(Seen(format!("{}{}", request.host(), request.path())));
        if let Some(pool) = self.pool {
            cx.set_pool(pool);
        }
        let flow =
            if self.answers { Answer::new(http::StatusCode::OK, "mine").into() } else { Flow::Continue };
        Ok(flow)
    }

    fn on_upstream_request(&self, _: &mut RequestView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        assert!(cx.endpoint().is_some());
        self.note("upstream");
        Ok(())
    }

    fn on_request_body(
        &self,
        _: &mut Option<Bytes>,
        end: bool,
        _: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        if end {
            self.note("request body");
        }
        Ok(())
    }

    fn on_response(&self, _: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        let Seen(what) = cx.extensions().get().cloned().unwrap();
        assert_eq!(what, "example.com/x");
        self.note("response");
        Ok(())
    }

    fn on_response_body(
        &self,
        _: &mut Option<Bytes>,
        end: bool,
        _: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        if end {
            self.note("response body");
        }
        Ok(())
    }

    fn needs(&self) -> Needs {
        Needs::BODIES
    }
}

fn program(calls: &Calls) -> AppBuilder {
    let calls = calls.clone();
    App::builder().filter("note", move |settings: Settings, cx: &BuildCx<'_>| {
        let Settings { name, answers, pool } = settings;
        let pool = pool.map(|pool| cx.pool(&pool)).transpose()?;
        Ok::<_, BuildError>(Note { name, answers, pool, calls: calls.clone() })
    })
}

async fn start(filters: &str, endpoints: [&dyn std::fmt::Display; 2]) -> (Calls, Edge) {
    let calls = Calls::default();
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ one: {{ endpoints: ['{}'] }}, two: {{ endpoints: ['{}'] }} }}\n\
         routes:\n  \
           - {{ filters: [{{ {filters} }}], pool: one }}\n  \
           - {{ match: {{ path: /two }}, pool: two }}",
        endpoints[0], endpoints[1]
    );
    let edge = Edge::start_with(program(&calls), &config).await;
    (calls, edge)
}

const REQUEST: &str = "POST /x HTTP/1.1\r\nHost: Example.com\r\nContent-Length: 2\r\n\r\nhi";

#[tokio::test]
async fn the_phases_come_in_order_and_in_reverse_on_the_way_back() {
    let endpoint = Endpoint::answering("ok").await;
    let address = endpoint.address();
    let (calls, edge) = start("note: { name: a } }, { note: { name: b }", [&address, &address]).await;
    assert_eq!(edge.send(REQUEST).await.status, 200);
    edge.stop().await;
    let calls = calls.lock();
    let of = |wanted: &str| -> Vec<&str> {
        let phases =
            calls.iter().filter_map(|call| call.split_once(' ')).filter(|(_, phase)| *phase == wanted);
        phases.map(|(name, _)| name).collect()
    };
    for phase in ["request", "upstream"] {
        assert_eq!(of(phase), ["a", "b"], "{phase}");
    }
    assert_eq!(of("response"), ["b", "a"]);
    assert_eq!(calls[..4], ["a request", "b request", "a upstream", "b upstream"]);
    assert_eq!(of("request body"), ["a", "b"]);
    assert_eq!(of("response body"), ["b", "a"]);
}

#[tokio::test]
async fn an_answer_is_seen_by_those_who_saw_the_request() {
    let filters = "note: { name: a } }, { note: { name: b, answers: true } }, { note: { name: c }";
    let (calls, edge) = start(filters, [&"127.0.0.1:1", &"127.0.0.1:1"]).await;
    let response = edge.send(REQUEST).await;
    assert_eq!((response.status, response.text()), (200, "mine"));
    edge.stop().await;
    assert_eq!(*calls.lock(), ["a request", "b request", "b response", "a response"]);
}

#[tokio::test]
async fn every_attempt_is_shown_and_the_request_only_once() {
    let (dead, good) = ("127.0.0.1:1", Endpoint::answering("ok").await);
    let both = format!("{dead}', '{}", good.address());
    let (calls, edge) = start("note: { name: a }", [&both, &good.address()]).await;
    for _ in 0..10 {
        calls.lock().clear();
        assert_eq!(edge.send(REQUEST).await.status, 200);
        let calls = calls.lock();
        assert_eq!(calls.iter().filter(|call| *call == "a request").count(), 1);
        // Nothing was sent to an endpoint that could not be connected to.
        assert_eq!(calls.iter().filter(|call| *call == "a upstream").count(), 1);
    }
}

#[tokio::test]
async fn a_filter_can_choose_the_pool() {
    let (one, two) = (Endpoint::answering("one").await, Endpoint::answering("two").await);
    let (_, edge) = start("note: { name: a, pool: two }", [&one.address(), &two.address()]).await;
    assert_eq!(edge.send(REQUEST).await.text(), "two");
    assert!(one.requests().is_empty());
}

#[test]
fn a_name_that_is_taken_is_told() {
    let builder = program(&Calls::default())
        .filter("rate_limit", |_: Settings, _: &BuildCx<'_>| Err::<Note, _>(BuildError::new("never built")));
    let config = "listeners: { web: { bind: 127.0.0.1:0 } }\nroutes: [{ respond: {} }]\n";
    assert_eq!(
        super::refusal(&builder, config),
        "edge.yaml:1:1: this program registers filter `rate_limit` twice\n"
    );
}
