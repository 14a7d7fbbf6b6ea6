use async_trait::async_trait;
use bytes::Bytes;
use evener::app::{App, AppBuilder};
use evener::hooks::{
    BuildCx, BuildError, Filter, FilterCx, Flow, HookError, Member, Needs, PickCx, Policy, RequestView,
    ResponseView,
};
use evener::types::Random;
use http::StatusCode;
use serde::Deserialize;

use crate::support::{Edge, Endpoint, Spy};

/// Fails in one phase of requests whose path starts with `/bad`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Fault {
    phase: Phase,
    how: How,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Phase {
    Request,
    UpstreamRequest,
    RequestBody,
    Response,
    ResponseBody,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    Panic,
    Error,
    Teapot,
}

#[derive(Clone, Copy)]
struct Bad;

impl Fault {
    fn strike(&self, phase: Phase, cx: &FilterCx<'_>) -> Result<(), HookError> {
        if phase != self.phase || cx.extensions().get::<Bad>().is_none() {
            return Ok(());
        }
        match self.how {
            How::Panic => panic!("as it was told"),
            How::Error => Err(HookError::new("as it was told")),
            How::Teapot => Err(HookError::new("as it was told").with_status(StatusCode::IM_A_TEAPOT)),
        }
    }
}

#[async_trait]
impl Filter for Fault {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        if request.path().starts_with("/bad") {
            cx.extensions_mut().insert(Bad);
        }
        self.strike(Phase::Request, cx).map(|()| Flow::Continue)
    }

    fn on_upstream_request(&self, _: &mut RequestView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        self.strike(Phase::UpstreamRequest, cx)
    }

    fn on_request_body(
        &self,
        _: &mut Option<Bytes>,
        _: bool,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        self.strike(Phase::RequestBody, cx)
    }

    fn on_response(&self, _: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        self.strike(Phase::Response, cx)
    }

    fn on_response_body(
        &self,
        _: &mut Option<Bytes>,
        _: bool,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        self.strike(Phase::ResponseBody, cx)
    }

    fn needs(&self) -> Needs {
        Needs::BODIES
    }
}

fn program(spy: &Spy) -> AppBuilder {
    spy.register(App::builder()).filter("faulty", |fault: Fault, _: &BuildCx<'_>| Ok::<_, BuildError>(fault))
}

async fn start(fault: &str) -> (Spy, Endpoint, Edge) {
    let (spy, endpoint) = (Spy::default(), Endpoint::answering("good").await);
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ balance: spy, endpoints: [{}] }} }}\n\
         routes:\n  - filters: [{{ faulty: {fault} }}]\n    pool: app\n\
         log: {{ access: {{ to: LOG }} }}\n",
        endpoint.address()
    );
    let edge = Edge::start_with(program(&spy), &config).await;
    (spy, endpoint, edge)
}

const BAD: &str = "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";

/// Expects the bad request to fail with this status and cause, and everything else to go on.
async fn expect(phase: &str, how: &str, status: u16, cause: &str) {
    let what = format!("{how} in {phase}");
    let (spy, endpoint, edge) = start(&format!("{{ phase: {phase}, how: {how} }}")).await;
    let mut bystander = edge.connect().await;
    for round in 1..=3 {
        let response = edge.send(BAD).await;
        assert_eq!(response.status, status, "{what}");
        assert!(!response.text().contains("as it was told"), "{what}: {}", response.text());
        bystander.send("GET /good HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(bystander.response().await.text(), "good", "{what}, round {round}");
    }
    spy.has_in_flight(0).await;
    let log = edge.log_of(6).await;
    assert_eq!(
        log.iter().filter(|line| line["cause"] == cause && line["status"] == status).count(),
        3,
        "{what}"
    );
    if phase == "request" {
        assert!(endpoint.requests().iter().all(|request| request.path() == "/good"), "{what}");
    }
}

#[tokio::test]
async fn a_panic_is_the_end_of_its_request_alone() {
    for phase in ["request", "upstream_request", "request_body", "response"] {
        expect(phase, "panic", 500, "hook_panicked").await;
    }
}

#[tokio::test]
async fn an_error_is_500_or_the_status_that_it_names() {
    for phase in ["request", "upstream_request", "request_body", "response"] {
        expect(phase, "error", 500, "hook_failed").await;
        expect(phase, "teapot", 418, "hook_failed").await;
    }
}

#[tokio::test]
async fn a_failure_in_the_body_of_a_response_cuts_it() {
    for (how, cause) in [("panic", "hook_panicked"), ("error", "hook_failed")] {
        let (spy, _endpoint, edge) = start(&format!("{{ phase: response_body, how: {how} }}")).await;
        let mut client = edge.connect().await;
        client.send(BAD).await;
        let received = client.rest().await;
        assert!(!received.ends_with(b"good"), "{}", received.escape_ascii());
        let line = &edge.log_of(1).await[0];
        assert_eq!(line["cause"], cause);
        spy.has_in_flight(0).await;
        assert_eq!(edge.get("/good").await.text(), "good");
    }
}

#[tokio::test]
async fn a_connection_goes_on_after_a_failure_before_an_endpoint_was_asked() {
    let (_spy, _endpoint, edge) = start("{ phase: request, how: panic }").await;
    let mut client = edge.connect().await;
    for _ in 0..3 {
        client.send("GET /bad HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.status, 500);
        client.send("GET /good HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(client.response().await.text(), "good");
    }
}

// === Policies ===

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BrokenSettings {
    how: BrokenHow,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BrokenHow {
    PanicsInPick,
    PicksOutOfRange,
    PanicsWhenBuilt,
}

struct Broken(BrokenHow);

impl Policy for Broken {
    fn pick(&self, members: &[Member], cx: &PickCx<'_>, _: &mut Random) -> usize {
        match self.0 {
            _ if cx.path() == "/good" => 0,
            BrokenHow::PanicsInPick => panic!("as it was told"),
            _ => members.len(),
        }
    }
}

async fn broken(how: &str) -> (Endpoint, Edge) {
    let builder = App::builder().policy("broken", |settings: BrokenSettings, _: &BuildCx<'_>| {
        let BrokenSettings { how } = settings;
        Ok(move |members: &[Member]| {
            assert!(!members.is_empty());
            assert!(!matches!(how, BrokenHow::PanicsWhenBuilt), "as it was told");
            Broken(how)
        })
    });
    let endpoint = Endpoint::answering("good").await;
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ balance: {{ broken: {{ how: {how} }} }}, endpoints: [{}], health: {{ tcp: {{}} }} }} }}\n\
         routes:\n  - {{ match: {{ path: {{ exact: /ping }} }}, respond: {{}} }}\n  - pool: app\n",
        endpoint.address()
    );
    let edge = Edge::start_with(builder, &config).await;
    (endpoint, edge)
}

#[tokio::test]
async fn a_broken_policy_fails_its_requests_and_nothing_else() {
    for how in ["panics_in_pick", "picks_out_of_range", "panics_when_built"] {
        let (endpoint, edge) = broken(how).await;
        for _ in 0..3 {
            let response = edge.get("/bad").await;
            assert_eq!(response.status, 500, "{how}");
            assert!(response.header("proxy-status").unwrap().contains("hook_panicked"), "{how}");
            assert_eq!(edge.get("/ping").await.status, 200, "{how}");
        }
        assert!(endpoint.requests().is_empty(), "{how}");
        let expected = if how == "panics_when_built" { 500 } else { 200 };
        assert_eq!(edge.get("/good").await.status, expected, "{how}");
    }
}
