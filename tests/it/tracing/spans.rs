//! Which spans there are of a request.

use std::collections::HashSet;
use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;

use crate::support::{Edge, Endpoint, dead, eventually};

use super::{Collector, config, hex, named, parent, site, told};

#[tokio::test]
async fn each_attempt_has_a_span_whose_id_its_endpoint_is_told() {
    let collector = Collector::start().await;
    let failing = Endpoint::scripted(|mut exchange| async move {
        exchange.send("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n").await;
        Some(exchange)
    })
    .await;
    let (gone, alive) = (dead().await, Endpoint::answering("ok").await);
    let pool = "retry: { attempts: 2, on: [connect, '5xx'], budget_min: 10 },";
    // A retry goes to any endpoint that was not tried, but to a backup last.
    let last = format!("'{}'", alive.address());
    let site = site(&[gone, failing.address(), alive.address()], pool, "")
        .replace(&last, &format!("{{ address: {last}, backup: true }}"));
    let edge = Edge::start(&config(&collector, "sample: 100%", &site)).await;
    assert_eq!(edge.get("/x?token=of-a-client").await.status, 200);
    eventually("all spans are there", async || {
        collector.spans().iter().filter(|span| span.kind() == SpanKind::Client).count() == 3
    })
    .await;
    let spans = collector.spans();
    let server = named(&spans, "GET api");
    assert_eq!((server.kind(), server.parent_span_id.len()), (SpanKind::Server, 0), "the trace begins here");
    assert_eq!(told(server, "http.response.status_code").unwrap(), "200");
    assert_eq!(told(server, "http.route").unwrap(), "api");
    assert_eq!(told(server, "url.path").unwrap(), "/x");
    let clients: Vec<_> = spans.iter().filter(|span| span.kind() == SpanKind::Client).collect();
    for (number, span) in clients.iter().enumerate() {
        assert_eq!((&span.trace_id, &span.parent_span_id), (&server.trace_id, &server.span_id));
        assert_eq!(
            told(span, "http.request.resend_count").unwrap_or_else(|| "0".to_owned()),
            number.to_string()
        );
        assert!(span.start_time_unix_nano >= server.start_time_unix_nano);
        assert!(span.end_time_unix_nano <= server.end_time_unix_nano);
    }
    let errors: Vec<_> = clients.iter().map(|span| told(span, "error.type")).collect();
    assert_eq!(errors, [Some("connect_failed".to_owned()), Some("503".to_owned()), None]);
    assert_eq!(told(clients[2], "server.port").unwrap(), alive.address().port().to_string());
    for (endpoint, span) in [(&failing, clients[1]), (&alive, clients[2])] {
        let (trace, of_attempt, flags) = parent(&endpoint.last());
        assert_eq!((trace, of_attempt), (hex(&server.trace_id), hex(&span.span_id)));
        assert_eq!(flags, "01");
    }
    let ids: HashSet<_> = spans.iter().map(|span| &span.span_id).collect();
    assert_eq!(ids.len(), spans.len());
    assert!(!format!("{spans:?}").contains("of-a-client"));
    let resource = format!("{:?}", collector.resource());
    assert!(resource.contains("service.name") && resource.contains("\"evener\""), "{resource}");
}

#[tokio::test]
async fn both_of_two_attempts_have_a_span_of_their_own() {
    let collector = Collector::start().await;
    let (slow, fast) = (Endpoint::silent().await, Endpoint::answering("fast").await);
    let site = site(&[slow.address(), fast.address()], "", "filters: [{ hedge: { after: 20ms } }],");
    let edge = Edge::start(&config(&collector, "sample: 100%", &site)).await;
    assert_eq!(edge.get("/").await.text(), "fast");
    eventually("all spans are there", async || collector.spans().len() >= 3).await;
    let spans = collector.spans();
    let server = named(&spans, "GET api");
    for (endpoint, why) in [(&slow, "first"), (&fast, "hedge")] {
        let of = |span: &&opentelemetry_proto::tonic::trace::v1::Span| {
            told(span, "evener.attempt").as_deref() == Some(why)
        };
        let span = spans.iter().find(of).unwrap();
        assert_eq!(parent(&endpoint.last()).1, hex(&span.span_id), "{why}");
        assert_eq!(span.parent_span_id, server.span_id);
    }
}

#[tokio::test]
async fn what_the_edge_answers_itself_went_to_nobody() {
    let collector = Collector::start().await;
    let endpoint = Endpoint::answering("ok").await;
    let rest = format!(
        "pools: {{ app: {{ endpoints: ['{}'] }} }}\n\
         routes:\n\
         \x20 - {{ name: own, match: {{ path: /own }}, respond: {{ status: 204 }} }}\n\
         \x20 - {{ name: shut, match: {{ path: /shut }}, filters: [{{ deny: {{ networks: [0.0.0.0/0] }} }}], pool: app }}\n",
        endpoint.address()
    );
    let edge = Edge::start(&config(&collector, "sample: 100%", &rest)).await;
    for (path, status) in [("/own", 204), ("/shut", 403), ("/nowhere", 404)] {
        assert_eq!(edge.get(path).await.status, status, "{path}");
    }
    let spans = collector.spans_of(4).await;
    assert!(spans.iter().all(|span| span.kind() != SpanKind::Client));
    let shut = named(&spans, "filter deny");
    assert_eq!(told(shut, "evener.filter.verdict").unwrap(), "rejected");
    assert_eq!(shut.parent_span_id, named(&spans, "GET shut").span_id);
    assert_eq!(told(named(&spans, "GET"), "error.type").unwrap(), "no_route");
    assert_eq!(endpoint.requests().len(), 0);
}

#[tokio::test]
async fn a_stored_answer_has_no_attempt() {
    let collector = Collector::start().await;
    let endpoint = Endpoint::with(|_| {
        "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 2\r\n\r\nok".to_owned()
    })
    .await;
    let site = site(&[endpoint.address()], "", "filters: [{ cache: { in: main } }],");
    let site = format!("server: {{ caches: {{ main: {{ memory: 8MiB }} }} }}\n{site}");
    let edge = Edge::start(&config(&collector, "sample: 100%", &site)).await;
    edge.get("/").await;
    collector.spans_of(2).await;
    edge.get("/").await;
    let spans = collector.spans_of(3).await;
    let words: Vec<_> = spans.iter().filter_map(|span| told(span, "evener.cache")).collect();
    assert_eq!(words, ["miss", "hit"]);
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn a_tunnel_ends_its_span_with_its_end() {
    let collector = Collector::start().await;
    let endpoint = Endpoint::scripted(|mut exchange| async move {
        exchange
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
            .await;
        let (mut read, mut write) = exchange.stream.split();
        tokio::io::copy(&mut read, &mut write).await.ok();
        None
    })
    .await;
    let edge = Edge::start(&config(&collector, "sample: 100%", &site(&[endpoint.address()], "", ""))).await;
    let mut client = edge.connect().await;
    client
        .send("GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n")
        .await;
    assert_eq!(client.response().await.status, 101);
    client.send("hello").await;
    assert_eq!(client.exactly(5).await, b"hello");
    // Another request's spans come before those of the tunnel.
    edge.send("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    collector.spans_of(1).await;
    drop(client);
    let spans = collector.spans_of(3).await;
    let tunnel = named(&spans, "GET api");
    assert_eq!(told(tunnel, "http.response.status_code").unwrap(), "101");
    assert_eq!(parent(&endpoint.last()).1, hex(&named(&spans, "GET app").span_id));
}

#[tokio::test]
async fn streams_of_http2_are_told_alike() {
    let collector = Collector::start().await;
    let endpoint = Endpoint::answering("ok").await;
    let edge = Edge::start(&config(&collector, "sample: 100%", &site(&[endpoint.address()], "", ""))).await;
    let stream = tokio::net::TcpStream::connect(edge.address()).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("http://a.example/x").body(()).unwrap();
    let (answer, mut body) = requests.send_request(request, false).unwrap();
    body.send_data("hello".into(), true).unwrap();
    assert_eq!(answer.await.unwrap().status(), 200);
    let spans = collector.spans_of(2).await;
    let server = named(&spans, "POST api");
    assert_eq!(told(server, "network.protocol.version").unwrap(), "2");
    assert_eq!(told(server, "server.address").unwrap(), "a.example");
    assert_eq!(told(server, "http.request.body.size").unwrap(), "5");
    assert_eq!(parent(&endpoint.last()).1, hex(&named(&spans, "POST app").span_id));
}

#[tokio::test]
async fn a_wait_for_an_endpoint_has_a_span() {
    let collector = Collector::start().await;
    let (endpoint, gate) = Endpoint::held().await;
    let site = site(&[endpoint.address()], "max_requests: 1,", "");
    let edge = Edge::start(&config(&collector, "sample: 100%", &site)).await;
    let request = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let (mut first, mut second) = (edge.connect().await, edge.connect().await);
    first.send(request).await;
    eventually("the first is there", async || endpoint.requests().len() == 1).await;
    second.send(request).await;
    eventually("the second waits", async || {
        super::metric(&edge, "evener_pool_waiting{pool=\"app\"}").await == Some(1.0)
    })
    .await;
    gate.add_permits(2);
    assert_eq!((first.response().await.status, second.response().await.status), (200, 200));
    let spans = collector.spans_of(5).await;
    let wait = named(&spans, "wait app");
    assert_eq!(told(wait, "evener.waited_for").unwrap(), "room");
    assert!(Duration::from_nanos(wait.end_time_unix_nano - wait.start_time_unix_nano) > Duration::ZERO);
}
