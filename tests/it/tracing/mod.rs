//! Traces: what endpoints are told of them, and the spans that a collector gets.

mod context;
mod export;
mod spans;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::support::{Client, Edge, Endpoint, Request, eventually};

/// A collector that takes OTLP over HTTP.
struct Collector {
    endpoint: Endpoint,
    status: Arc<AtomicU16>,
}

impl Collector {
    async fn start() -> Self {
        let status = Arc::new(AtomicU16::new(200));
        let answer = status.clone();
        let endpoint = Endpoint::with(move |_| {
            format!("HTTP/1.1 {} Something\r\nContent-Length: 0\r\n\r\n", answer.load(Ordering::Relaxed))
        });
        Self { endpoint: endpoint.await, status }
    }

    /// What it answers from now on. What it does not take with 200 does not count.
    fn answer(&self, status: u16) {
        self.status.store(status, Ordering::Relaxed);
    }

    fn address(&self) -> SocketAddr {
        self.endpoint.address()
    }

    fn requests(&self) -> Vec<Request> {
        self.endpoint.requests()
    }

    fn bodies(&self) -> Vec<ExportTraceServiceRequest> {
        let decode = |request: &Request| ExportTraceServiceRequest::decode(&request.body[..]).unwrap();
        self.requests().iter().map(decode).collect()
    }

    fn resource(&self) -> Resource {
        self.bodies()[0].resource_spans[0].resource.clone().unwrap()
    }

    /// Without those of filters that only took time, which depends on the machine.
    fn spans(&self) -> Vec<Span> {
        let bodies = self.bodies().into_iter().flat_map(|body| body.resource_spans);
        let all = bodies.flat_map(|of_process| of_process.scope_spans).flat_map(|of_scope| of_scope.spans);
        all.filter(|span| told(span, "evener.filter.verdict").as_deref() != Some("continued")).collect()
    }

    /// All spans, once there are so many.
    async fn spans_of(&self, count: usize) -> Vec<Span> {
        eventually(&format!("there are {count} spans"), async || self.spans().len() >= count).await;
        let spans = self.spans();
        assert_eq!(spans.len(), count, "{spans:#?}");
        spans
    }
}

/// A configuration with an admin listener, whose spans go there at once, with these further keys of `tracing`.
fn config(collector: &Collector, tracing: &str, rest: &str) -> String {
    let to = collector.address();
    config_to(&format!("to: 'http://{to}', every: 100ms, {tracing}"), rest)
}

fn config_to(tracing: &str, rest: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         admin: {{ bind: 127.0.0.1:0 }}\n\
         tracing: {{ {tracing} }}\n\
         log: {{ access: {{ to: LOG }} }}\n\
         {rest}\n"
    )
}

/// A pool of these endpoints, in their order, and a route `api` to it.
fn site(endpoints: &[SocketAddr], pool: &str, route: &str) -> String {
    let endpoints: Vec<_> = endpoints.iter().map(|endpoint| format!("'{endpoint}'")).collect();
    let endpoints = endpoints.join(", ");
    format!(
        "pools: {{ app: {{ balance: first, {pool} endpoints: [{endpoints}] }} }}\n\
         routes: [{{ name: api, {route} pool: app }}]"
    )
}

/// What is told of a span under a name.
fn told(span: &Span, name: &str) -> Option<String> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == name)?;
    Some(match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => text.clone(),
        Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn named<'a>(spans: &'a [Span], name: &str) -> &'a Span {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no span {name} in {spans:#?}"))
}

/// The trace, the parent and the flags of a request.
fn parent(request: &Request) -> (String, String, String) {
    let fields = request.headers("traceparent");
    let [field] = fields[..] else { panic!("{}", request.head) };
    let parts: Vec<_> = field.split('-').collect();
    let ["00", trace, span, flags] = parts[..] else { panic!("{field}") };
    (trace.to_owned(), span.to_owned(), flags.to_owned())
}

/// The value of a metric without labels; `None` where there is none.
async fn metric(edge: &Edge, name: &str) -> Option<f64> {
    let mut client = Client::connect(edge.admin_address()).await;
    client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let response = client.response().await;
    let line = response.text().lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map(|value| value.parse().unwrap())
}

async fn comes_to(edge: &Edge, name: &str, value: f64) {
    let what = format!("{name} comes to {value}");
    eventually(&what, async || metric(edge, name).await == Some(value)).await;
}
