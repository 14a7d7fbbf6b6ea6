//! Which trace endpoints are told of, and whose word counts.

use crate::support::{Edge, Endpoint};

use super::{Collector, config, hex, parent, site, told};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const STATE: &str = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7";

fn request(flags: &str) -> String {
    format!(
        "GET /a HTTP/1.1\r\nHost: a\r\ntraceparent: 00-{TRACE}-{SPAN}-{flags}\r\n\
         tracestate: {STATE}\r\nbaggage: userId=alice,serverNode=DF%2028\r\n\r\n"
    )
}

const TRUSTED: &str = "server: { trusted_proxies: [127.0.0.1] }\n";

async fn endpoint() -> Endpoint {
    Endpoint::answering("ok").await
}

#[tokio::test]
async fn without_tracing_whatever_clients_say_passes_as_it_came() {
    let endpoint = endpoint().await;
    let site = site(&[endpoint.address()], "", "");
    let edge = Edge::start(&format!("listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n{site}\n")).await;
    for line in ["traceparent: nonsense", &format!("traceparent: 00-{TRACE}-{SPAN}-01")] {
        let fields = format!("{line}\r\ntracestate: a=1\r\nbaggage: b=2");
        edge.send(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n")).await;
        let got = endpoint.last();
        assert_eq!(got.header("traceparent"), line.strip_prefix("traceparent: "));
        assert_eq!((got.header("tracestate"), got.header("baggage")), (Some("a=1"), Some("b=2")));
    }
}

#[tokio::test]
async fn a_sampled_parent_is_always_recorded() {
    let (collector, endpoint) = (Collector::start().await, endpoint().await);
    let site = format!("{TRUSTED}{}", site(&[endpoint.address()], "", ""));
    let edge = Edge::start(&config(&collector, "sample: 0%", &site)).await;
    assert_eq!(edge.send(&request("01")).await.status, 200);
    let spans = collector.spans_of(2).await;
    let [server, client] = &spans[..] else { panic!("{spans:?}") };
    assert_eq!((hex(&server.trace_id).as_str(), hex(&server.parent_span_id).as_str()), (TRACE, SPAN));
    assert_eq!((&server.trace_id, server.trace_state.as_str()), (&client.trace_id, STATE));
    let got = endpoint.last();
    assert_eq!(parent(&got), (TRACE.to_owned(), hex(&client.span_id), "01".to_owned()));
    assert_eq!(got.headers("tracestate"), [STATE]);
    assert_eq!(got.headers("baggage"), ["userId=alice,serverNode=DF%2028"]);
    let line = &edge.log_of(1).await[0];
    assert_eq!((&line["trace_id"], &line["span_id"]), (&TRACE.into(), &hex(&server.span_id).into()));
}

#[tokio::test]
async fn an_unsampled_parent_passes_and_is_never_recorded() {
    let (collector, endpoint) = (Collector::start().await, endpoint().await);
    let site = format!("{TRUSTED}{}", site(&[endpoint.address()], "", ""));
    let edge = Edge::start(&config(&collector, "sample: 100%", &site)).await;
    edge.send(&request("00")).await;
    let got = endpoint.last();
    assert_eq!(parent(&got), (TRACE.to_owned(), SPAN.to_owned(), "00".to_owned()));
    assert_eq!(got.headers("tracestate"), [STATE]);
    let line = &edge.log_of(1).await[0];
    assert_eq!((&line["trace_id"], line.get("span_id")), (&TRACE.into(), None));
    // Of the next one there are spans, and of this one still none.
    edge.get("/").await;
    let spans = collector.spans_of(2).await;
    assert!(spans.iter().all(|span| hex(&span.trace_id) != TRACE), "{spans:#?}");
}

#[tokio::test]
async fn clients_that_nobody_trusts_begin_no_traces() {
    let (collector, endpoint) = (Collector::start().await, endpoint().await);
    let site = site(&[endpoint.address()], "", "");
    let edge = Edge::start(&config(&collector, "sample: 0%", &site)).await;
    // By naming the header as one of the connection a client can have it taken off, and nothing else.
    let naming = request("01").replace("\r\n\r\n", "\r\nConnection: traceparent\r\n\r\n");
    for request in [request("01"), naming] {
        edge.send(&request).await;
        let got = endpoint.last();
        let (trace, _, flags) = parent(&got);
        assert_eq!((trace != TRACE, flags.as_str()), (true, "00"), "a trace of the edge's own");
        assert_eq!((got.header("tracestate"), got.headers("baggage").len()), (None, 1));
    }
    let log = edge.log_of(2).await;
    assert_eq!(log[1]["trace_id"], parent(&endpoint.last()).0);
    edge.stop().await;
    assert_eq!(collector.spans().len(), 0);
}

#[tokio::test]
async fn anybody_begins_traces_where_that_is_wanted() {
    let (collector, endpoint) = (Collector::start().await, endpoint().await);
    let site = site(&[endpoint.address()], "", "");
    let edge = Edge::start(&config(&collector, "sample: 0%, trust: anybody", &site)).await;
    edge.send(&request("01")).await;
    let spans = collector.spans_of(2).await;
    assert!(spans.iter().all(|span| hex(&span.trace_id) == TRACE));
}

#[tokio::test]
async fn what_is_no_context_begins_a_new_trace() {
    let (collector, endpoint) = (Collector::start().await, endpoint().await);
    let site = format!("{TRUSTED}{}", site(&[endpoint.address()], "", ""));
    let edge = Edge::start(&config(&collector, "sample: 100%", &site)).await;
    let broken = request("01").replace("00-0af", "ff-0af");
    let doubled =
        request("01").replace("\r\n\r\n", &format!("\r\ntraceparent: 00-{TRACE}-{SPAN}-01\r\n\r\n"));
    for request in [broken, doubled] {
        edge.send(&request).await;
        let got = endpoint.last();
        assert_ne!(parent(&got).0, TRACE);
        assert_eq!(got.header("tracestate"), None, "it belongs to the other trace");
    }
    let spans = collector.spans_of(4).await;
    assert!(
        spans.iter().all(|span| told(span, "evener.listener").is_none() || span.parent_span_id.is_empty())
    );
}

#[tokio::test]
async fn a_filter_may_keep_a_trace_from_endpoints() {
    let (collector, endpoint) = (Collector::start().await, endpoint().await);
    let route = "filters: [{ request_headers: { remove: [traceparent, tracestate] } }],";
    let site = site(&[endpoint.address()], "", route);
    let edge = Edge::start(&config(&collector, "sample: 100%", &site)).await;
    edge.get("/").await;
    assert_eq!(endpoint.last().header("traceparent"), None);
    assert!(collector.spans_of(2).await.len() == 2, "its spans are there all the same");
}
