use async_trait::async_trait;
use evener::app::App;
use evener::hooks::{BuildCx, BuildError, Filter, FilterCx, HookError, ResponseView};
use http::{HeaderName, HeaderValue};

use crate::support::{Client, Edge, Endpoint, Exchange, eventually};

use super::filtered;

const ONE: &str = "{ adaptive_concurrency: { min: 1, max: 1 } }";

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn what_is_over_the_limit_is_refused_until_another_has_ended() {
    let (endpoint, gate) = Endpoint::held().await;
    let edge = Edge::start(&filtered(endpoint.address(), ONE)).await;
    let mut client = Client::connect(edge.address()).await;
    client.send(GET).await;
    eventually("it is with the endpoint", async || endpoint.requests().len() == 1).await;
    let refused = edge.get("/").await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(edge.log_of(1).await[0]["cause"], "overloaded");
    gate.add_permits(100);
    assert_eq!(client.response().await.status, 200);
    eventually("its place is free", async || edge.get("/").await.status == 200).await;
}

#[tokio::test]
async fn answers_that_go_on_for_long_keep_nobody_out() {
    const TUNNEL: &str =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let endpoint = Endpoint::scripted(|mut exchange: Exchange| async move {
        match exchange.request.path() {
            "/large" => {
                exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n").await;
                exchange.send(vec![b'a'; 20_000_000]).await;
            }
            "/chat" => {
                exchange.send(TUNNEL).await;
                std::future::pending().await
            }
            _ => exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await,
        }
        Some(exchange)
    })
    .await;
    let edge = Edge::start(&filtered(endpoint.address(), ONE)).await;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let mut clients = Vec::new();
    for (path, fields, expected) in [("/large", "", 200), ("/chat", upgrade, 101), ("/large", "", 200)] {
        let mut client = edge.connect().await;
        client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await;
        assert!(client.head().await.starts_with(&format!("HTTP/1.1 {expected}")), "{path}");
        clients.push(client);
        assert_eq!(edge.get("/").await.status, 200, "while {path} goes on");
    }
}

/// Tells in a header whether an endpoint has given the answer.
struct Origin;

#[derive(serde::Deserialize)]
struct NoSettings {}

#[async_trait]
impl Filter for Origin {
    fn on_response(&self, response: &mut ResponseView<'_>, _: &mut FilterCx<'_>) -> Result<(), HookError> {
        let origin = if response.is_from_endpoint() { "endpoint" } else { "edge" };
        response.set_header(HeaderName::from_static("x-origin"), HeaderValue::from_static(origin))
    }
}

#[tokio::test]
async fn what_an_endpoint_has_answered_is_told_from_what_it_has_not() {
    let endpoint = Endpoint::with(|request| match request.path() {
        "/invalid" => "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n".to_owned(),
        _ => "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n".to_owned(),
    })
    .await;
    let builder =
        App::builder().filter("origin", |_: NoSettings, _: &BuildCx<'_>| Ok::<_, BuildError>(Origin));
    let config = format!(
        "server: {{ caches: {{ main: {{}} }} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}'] }} }}
routes:
  - {{ match: {{ path: /refused }}, pool: app, filters: [origin: {{}}, deny: [0.0.0.0/0]] }}
  - {{ pool: app, filters: [origin: {{}}, cache: {{ in: main }}] }}
",
        endpoint.address()
    );
    let edge = Edge::start_with(builder, &config).await;
    for (path, status, origin) in
        [("/", 200, "endpoint"), ("/", 200, "edge"), ("/refused", 403, "edge"), ("/invalid", 502, "edge")]
    {
        let response = edge.get(path).await;
        assert_eq!((response.status, response.header("x-origin")), (status, Some(origin)), "{path}");
    }
}
