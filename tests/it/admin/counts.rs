//! What is counted is what happened.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::Semaphore;

use crate::support::{Client, Edge, Endpoint, dead, eventually};

use super::{Scrape, comes_to, config, pool};

/// Answers with the status that the path names.
async fn by_path() -> Endpoint {
    Endpoint::with(|request| {
        let status = request.path().trim_start_matches('/').to_owned();
        format!("HTTP/1.1 {status} Something\r\nContent-Length: 5\r\n\r\nhello")
    })
    .await
}

#[tokio::test]
async fn requests_are_counted_by_route_and_class() {
    let endpoint = by_path().await;
    let pools = pool("app", "", &[endpoint.address()]);
    let edge = Edge::start(&config(&pools, "{ name: api, match: { host: example.com }, pool: app }")).await;
    for path in ["/200", "/201", "/404", "/500"] {
        edge.get(path).await;
    }
    edge.send("POST /200 HTTP/1.1\r\nHost: example.com\r\nContent-Length: 7\r\n\r\n1234567").await;
    assert_eq!(edge.send("GET / HTTP/1.1\r\nHost: other.example\r\n\r\n").await.status, 404);
    assert_eq!(edge.send("GET / HTTP/1.1\r\nHost: a b\r\n\r\n").await.status, 400);
    comes_to(
        &edge,
        &[
            ("evener_http_requests_total{route=\"api\",status=\"2xx\"}", 3.0),
            ("evener_http_requests_total{route=\"api\",status=\"4xx\"}", 1.0),
            ("evener_http_requests_total{route=\"api\",status=\"5xx\"}", 1.0),
            ("evener_http_requests_in_flight{route=\"api\"}", 0.0),
            ("evener_http_errors_total{route=\"\",cause=\"no_route\"}", 1.0),
            ("evener_http_request_duration_seconds_count{route=\"api\"}", 5.0),
            ("evener_http_request_duration_seconds_bucket{le=\"+Inf\",route=\"api\"}", 5.0),
            ("evener_http_request_body_bytes_total{route=\"api\"}", 7.0),
            ("evener_http_response_body_bytes_total{route=\"api\"}", 25.0),
            ("evener_pool_picks_total{pool=\"app\"}", 5.0),
            ("evener_pool_sent_bytes_total{pool=\"app\"}", 7.0),
            ("evener_pool_received_bytes_total{pool=\"app\"}", 25.0),
            ("evener_pool_errors_total{pool=\"app\",cause=\"upstream_status\"}", 1.0),
            // Not that of the attempt that failed.
            ("evener_pool_latency_seconds_count{pool=\"app\"}", 4.0),
        ],
    )
    .await;
    let scrape = Scrape::of(&edge).await;
    let endpoint = format!("pool=\"app\",endpoint=\"{}\"", endpoint.address());
    assert_eq!(scrape.value(&format!("evener_endpoint_picks_total{{{endpoint}}}")), 5.0);
    assert_eq!(scrape.value(&format!("evener_endpoint_failures_total{{{endpoint}}}")), 1.0);
    assert_eq!(
        scrape.value(&format!("evener_endpoint_errors_total{{{endpoint},cause=\"upstream_status\"}}")),
        1.0
    );
    assert_eq!(scrape.value(&format!("evener_endpoint_sent_bytes_total{{{endpoint}}}")), 7.0);
    assert_eq!(scrape.value(&format!("evener_endpoint_received_bytes_total{{{endpoint}}}")), 25.0);
    assert_eq!(scrape.value(&format!("evener_endpoint_state{{{endpoint},state=\"fit\"}}")), 1.0);
    // What no endpoint has answered is an error of some cause.
    assert_eq!(scrape.sum("evener_http_errors_total{route=\"api\""), 0.0);
    assert_eq!(scrape.sum("evener_listener_accepted_total{listener=\"web\"}"), 7.0);
}

#[tokio::test]
async fn what_waits_for_an_endpoint_is_in_flight() {
    let (endpoint, gate) = Endpoint::held().await;
    let pools = pool("app", "", &[endpoint.address()]);
    let edge = Edge::start(&config(&pools, "{ name: api, pool: app }")).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        let mut client = edge.connect().await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        clients.push(client);
    }
    let of_endpoint =
        format!("evener_endpoint_in_flight{{pool=\"app\",endpoint=\"{}\"}}", endpoint.address());
    comes_to(
        &edge,
        &[
            ("evener_http_requests_in_flight{route=\"api\"}", 3.0),
            ("evener_pool_in_flight{pool=\"app\"}", 3.0),
            (&of_endpoint, 3.0),
            ("evener_listener_connections{listener=\"web\"}", 3.0),
        ],
    )
    .await;
    gate.add_permits(3);
    for client in &mut clients {
        assert_eq!(client.response().await.status, 200);
    }
    comes_to(
        &edge,
        &[
            ("evener_http_requests_in_flight{route=\"api\"}", 0.0),
            ("evener_http_requests_total{route=\"api\",status=\"2xx\"}", 3.0),
            (&of_endpoint, 0.0),
        ],
    )
    .await;
}

#[tokio::test]
async fn attempts_are_counted_where_they_went() {
    let (gone, alive) = (dead().await, Endpoint::answering("ok").await);
    let pools = pool("app", "balance: first,", &[gone, alive.address()]);
    let edge = Edge::start(&config(&pools, "{ name: api, pool: app }")).await;
    assert_eq!(edge.get("/").await.status, 200);
    let of = |family: &str, endpoint| {
        format!("evener_endpoint_{family}_total{{pool=\"app\",endpoint=\"{endpoint}\"}}")
    };
    comes_to(
        &edge,
        &[
            ("evener_pool_retries_total{pool=\"app\"}", 1.0),
            (&of("picks", gone), 1.0),
            (&of("failures", gone), 1.0),
            (&of("picks", alive.address()), 1.0),
            (&of("failures", alive.address()), 0.0),
            (&of("connections", gone), 0.0),
            (&of("connections", alive.address()), 1.0),
            ("evener_pool_connections_total{pool=\"app\"}", 1.0),
            (&format!("evener_endpoint_errors_total{{pool=\"app\",endpoint=\"{gone}\",cause=\"connect_failed\"}}"), 1.0),
            ("evener_pool_errors_total{pool=\"app\",cause=\"connect_failed\"}", 1.0),
            ("evener_http_requests_total{route=\"api\",status=\"2xx\"}", 1.0),
            ("evener_http_requests_total{route=\"api\",status=\"5xx\"}", 0.0),
        ],
    )
    .await;
}

/// Whose answer is given is no matter of who failed.
#[tokio::test]
async fn a_hedged_attempt_that_fails_is_counted_by_its_cause() {
    let (asked, gone) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (is_asked, is_gone) = (asked.clone(), gone.clone());
    let first = Endpoint::scripted(move |exchange| {
        let (asked, gone) = (asked.clone(), gone.clone());
        async move {
            asked.acquire().await.unwrap().forget();
            drop(exchange);
            gone.add_permits(1);
            None
        }
    })
    .await;
    let second = Endpoint::scripted(move |mut exchange| {
        let (asked, gone) = (is_asked.clone(), is_gone.clone());
        async move {
            asked.add_permits(1);
            gone.acquire().await.unwrap().forget();
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood").await;
            Some(exchange)
        }
    })
    .await;
    let pools = pool("app", "balance: first, outlier: off,", &[first.address(), second.address()]);
    let edge = Edge::start(&config(&pools, "{ pool: app, filters: [hedge: { after: 5ms }] }")).await;
    let of_first = format!("pool=\"app\",endpoint=\"{}\"", first.address());
    // The second may be heard before the end of the first is seen, which is no failure then.
    eventually("it is counted", async || {
        assert_eq!(edge.get("/").await.text(), "good");
        let errors = format!("evener_endpoint_errors_total{{{of_first},cause=\"upstream_closed\"}}");
        Scrape::of(&edge).await.sum(&errors) > 0.0
    })
    .await;
    let scrape = Scrape::of(&edge).await;
    let failures = scrape.value(&format!("evener_endpoint_failures_total{{{of_first}}}"));
    assert_eq!(scrape.sum("evener_endpoint_errors_total{"), failures, "{scrape:#?}");
    assert!(scrape.value(&format!("evener_endpoint_connections_total{{{of_first}}}")) >= failures);
    assert!(scrape.value("evener_pool_received_bytes_total{pool=\"app\"}") >= 4.0);
}

/// Its status and its body are of one attempt.
#[tokio::test]
async fn a_copy_that_fails_twice_is_one_failure() {
    let app = Endpoint::answering("ok").await;
    let broken = Endpoint::scripted(|mut exchange| async move {
        exchange.send("HTTP/1.1 500 No\r\nContent-Length: 10\r\n\r\nhalf").await;
        None
    })
    .await;
    let pools = format!("{}, {}", pool("app", "", &[app.address()]), pool("shadow", "", &[broken.address()]));
    let edge = Edge::start(&config(&pools, "{ pool: app, filters: [mirror: { pool: shadow }] }")).await;
    assert_eq!(edge.get("/").await.text(), "ok");
    let failures =
        format!("evener_endpoint_failures_total{{pool=\"shadow\",endpoint=\"{}\"}}", broken.address());
    comes_to(
        &edge,
        &[
            ("evener_pool_picks_total{pool=\"shadow\"}", 1.0),
            ("evener_pool_in_flight{pool=\"shadow\"}", 0.0),
            ("evener_pool_received_bytes_total{pool=\"shadow\"}", 4.0),
            (&failures, 1.0),
        ],
    )
    .await;
    let scrape = Scrape::of(&edge).await;
    assert_eq!(scrape.value("evener_pool_errors_total{pool=\"shadow\",cause=\"upstream_status\"}"), 1.0);
    assert_eq!(scrape.sum("evener_pool_errors_total{pool=\"shadow\""), 1.0, "{scrape:#?}");
}

#[tokio::test]
async fn a_switch_that_nobody_asked_for_has_one_word_everywhere() {
    let switching = Endpoint::with(|_| {
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned()
    })
    .await;
    let at = [switching.address()];
    let pools = format!("{}, {}", pool("app", "", &at), pool("shadow", "", &at));
    let routes = "{ name: api, pool: app, filters: [mirror: { pool: shadow }] }";
    let edge = Edge::start(&config(&pools, routes)).await;
    assert_eq!(edge.get("/").await.status, 502);
    let errors = |start: &'static str| {
        let edge = &edge;
        async move { Scrape::of(edge).await.sum(start) }
    };
    for start in [
        "evener_http_errors_total{route=\"api\",cause=\"unexpected_upgrade\"}",
        "evener_pool_errors_total{pool=\"app\",cause=\"unexpected_upgrade\"}",
        "evener_pool_errors_total{pool=\"shadow\",cause=\"unexpected_upgrade\"}",
    ] {
        eventually(start, async || errors(start).await == 1.0).await;
    }
    assert_eq!(errors("evener_pool_errors_total{").await, 2.0);
}

/// Also where there is only one to be picked again.
#[tokio::test]
async fn an_attempt_is_one_pick() {
    let keys = "retry: { on: [connect], attempts: 2 }, outlier: off,";
    let pools = pool("app", keys, &[dead().await]);
    let http = config(&pools, "{ pool: app }");
    let tcp = format!(
        "listeners: {{ db: {{ bind: 127.0.0.1:0, tcp: {{ pool: app }} }} }}
admin: {{ bind: 127.0.0.1:0 }}
pools: {{ {pools} }}
"
    );
    for text in [http, tcp] {
        let edge = Edge::start(&text).await;
        let mut client = Client::connect(edge.address()).await;
        let _ = client.try_send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n").await;
        let errors = "evener_pool_errors_total{pool=\"app\",cause=\"connect_failed\"}";
        eventually("all have failed", async || Scrape::of(&edge).await.sum(errors) == 3.0).await;
        assert_eq!(Scrape::of(&edge).await.value("evener_pool_picks_total{pool=\"app\"}"), 3.0, "{text}");
    }
}

#[tokio::test]
async fn a_pool_that_cannot_serve_is_an_error_of_a_cause() {
    let pools = pool("app", "", &[dead().await]);
    let edge = Edge::start(&config(&pools, "{ name: api, pool: app }")).await;
    assert_eq!(edge.get("/").await.status, 502);
    comes_to(
        &edge,
        &[
            ("evener_http_errors_total{route=\"api\",cause=\"connect_failed\"}", 1.0),
            ("evener_http_requests_total{route=\"api\",status=\"5xx\"}", 1.0),
        ],
    )
    .await;
}

#[tokio::test]
async fn what_filters_stop_is_counted_at_them() {
    let routes =
        "{ name: api, respond: {}, filters: [rate_limit: { rate: 2/h }, rate_limit: { rate: 1000/s }] }";
    let edge = Edge::start(&config("", routes)).await;
    let mut refused = 0;
    for _ in 0..5 {
        refused += u32::from(edge.get("/").await.status == 429);
    }
    assert!(refused > 0);
    let of = |number, decision| {
        format!(
            "evener_filter_decisions_total{{route=\"api\",filter=\"rate_limit\",number=\"{number}\",decision=\"{decision}\"}}"
        )
    };
    comes_to(
        &edge,
        &[
            (&of(0, "rejected"), f64::from(refused)),
            (&of(1, "rejected"), 0.0),
            (&of(0, "failed"), 0.0),
            ("evener_http_requests_total{route=\"api\",status=\"4xx\"}", f64::from(refused)),
        ],
    )
    .await;
}

#[tokio::test]
async fn counts_go_on_over_a_reload_and_series_go_with_what_they_are_of() {
    let endpoint = Endpoint::answering("ok").await;
    let both =
        format!("{}, {}", pool("app", "", &[endpoint.address()]), pool("other", "", &[endpoint.address()]));
    let routes = "{ name: api, match: { path: /a }, pool: app }, { name: rest, pool: other }";
    let edge = Edge::start(&config(&both, routes)).await;
    for path in ["/a", "/a", "/b"] {
        edge.get(path).await;
    }
    let requests = "evener_http_requests_total{route=\"api\",status=\"2xx\"}";
    comes_to(&edge, &[(requests, 2.0), ("evener_http_requests_total{route=\"rest\",status=\"2xx\"}", 1.0)])
        .await;
    let only = pool("app", "timeouts: { connect: 1s },", &[endpoint.address()]);
    edge.reload(&config(&only, "{ name: api, pool: app }")).await;
    edge.get("/a").await;
    let picks = format!("evener_endpoint_picks_total{{pool=\"app\",endpoint=\"{}\"}}", endpoint.address());
    comes_to(&edge, &[(requests, 3.0), (&picks, 3.0), ("evener_config_generation", 2.0)]).await;
    let scrape = Scrape::of(&edge).await;
    assert!(!scrape.has("pool=\"other\"") && !scrape.has("route=\"rest\""), "{scrape:#?}");
    assert_eq!(scrape.value("evener_config_changes_total{result=\"made\"}"), 1.0);
    edge.try_reload("listeners: 5\n").await.unwrap_err();
    comes_to(&edge, &[("evener_config_changes_total{result=\"refused\"}", 1.0)]).await;
}

#[tokio::test]
async fn connections_over_a_limit_are_counted() {
    let text = config("", "{ respond: {} }")
        .replace("web: { bind: 127.0.0.1:0 }", "web: { bind: 127.0.0.1:0, limits: { connections: 1 } }");
    let edge = Edge::start(&text).await;
    let mut first = edge.connect().await;
    first.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    assert_eq!(first.response().await.status, 200);
    let mut second = Client::connect(edge.address()).await;
    assert!(second.is_closed().await);
    comes_to(
        &edge,
        &[
            ("evener_listener_turned_away_total{listener=\"web\"}", 1.0),
            ("evener_listener_connections{listener=\"web\"}", 1.0),
        ],
    )
    .await;
    drop(first);
    eventually("the place is free", async || {
        Scrape::of(&edge).await.value("evener_listener_connections{listener=\"web\"}") == 0.0
    })
    .await;
}

#[tokio::test]
async fn requests_of_the_edge_itself_are_nobodys() {
    const OLD: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=1, stale-while-revalidate=600\r\nAge: 10\r\n\
                       Content-Length: 3\r\n\r\nold";
    const NEW: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: 3\r\n\r\nnew";
    let is_first = AtomicBool::new(true);
    let endpoint = Endpoint::scripted(move |mut exchange| {
        let answer = if is_first.swap(false, Ordering::SeqCst) { OLD } else { NEW };
        async move {
            if exchange.request.path() == "/held" {
                std::future::pending::<()>().await;
            }
            exchange.send(answer).await;
            Some(exchange)
        }
    })
    .await;
    let pools = pool("app", "", &[endpoint.address()]);
    let text = config(&pools, "{ name: api, pool: app, filters: [cache: { in: main }] }");
    let edge = Edge::start(&format!("server: {{ caches: {{ main: {{ memory: 8MiB }} }} }}\n{text}")).await;
    assert_eq!(edge.get("/").await.text(), "old");
    eventually("the answer is refreshed", async || edge.get("/").await.text() == "new").await;
    let mut held = edge.connect().await;
    held.send("GET /held HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("it is with the endpoint", async || endpoint.requests().len() == 3).await;
    comes_to(&edge, &[("evener_http_requests_in_flight{route=\"api\"}", 1.0)]).await;
}

#[tokio::test]
async fn limits_that_do_without_their_store_are_counted() {
    let limit = "rate_limit: { scope: cluster, store: limits, name: api, rate: 100/s }";
    let routes = format!("{{ respond: {{}}, filters: [{limit}] }}");
    let store = "server: { stores: { limits: { redis: 'unix:nobody.sock' } } }";
    let edge = Edge::start(&format!("{}{store}\n", config("", &routes))).await;
    for _ in 0..3 {
        assert_eq!(edge.get("/").await.status, 200);
    }
    comes_to(
        &edge,
        &[
            ("evener_store_missed_total{store=\"limits\"}", 3.0),
            ("evener_store_asked_total{store=\"limits\"}", 3.0),
        ],
    )
    .await;
}
