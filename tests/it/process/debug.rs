//! The signed header by which a client asks why its request went where it went.

use http::Request;

use crate::support::{Edge, Endpoint, Response, dead};
use crate::wire::http2::H2;

use super::{Place, told};

const SECRET: &str = "0123456789abcdef";

/// The header as `evener debug-header` prints it, with `SECRET` in a file.
fn header(secret: &str, arguments: &[&str]) -> String {
    let place = Place::with("");
    std::fs::write(place.path().join("key"), format!("{secret}\n")).unwrap();
    let arguments: Vec<_> = ["debug-header", "--key-file", "key"].iter().chain(arguments).copied().collect();
    let (code, out, err) = told(&place.evener(&arguments));
    assert_eq!((code, &*err), (0, ""));
    out.trim_end().to_owned()
}

async fn edge(endpoints: &str, routes: &str) -> Edge {
    Edge::start(&format!(
        "server: {{ debug_secret: {SECRET}, caches: {{ main: {{ memory: 8MiB, max_object: 256KiB }} }} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ balance: first, outlier: off, endpoints: [{endpoints}] }} }}
routes: {routes}
"
    ))
    .await
}

async fn ask(edge: &Edge, path: &str, header: &str) -> Response {
    edge.send(&format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n{header}\r\n\r\n")).await
}

#[tokio::test]
async fn whoever_has_the_key_is_told_and_the_endpoint_is_not() {
    let (dead, good) = (dead().await, Endpoint::answering("good").await);
    let edge = edge(
        &format!("'{dead}', '{}'", good.address()),
        "[{ name: api, match: { path: /api }, respond: {} }, { name: app, filters: [{ rate_limit: { rate: 100/s, burst: 9 } }], pool: app }]",
    )
    .await;
    let signed = header(SECRET, &["http://example.com/a?b=secret"]);
    let answer = ask(&edge, "/a?b=secret", &signed).await;
    let decision = answer.header("evener-decision").unwrap();
    for part in [
        "candidates=(\"api\";no=\"path /api is no prefix of it\" \"app\";chosen)",
        "filters=(\"rate_limit\";verdict=continued;ms=",
        "picks=(\"127.0.0.1:",
        ";pool=\"app\";policy=\"first\";by=order;ms=",
        &format!("attempts=(\"{dead}\";why=first;ms="),
        ";cause=\"connect_failed\" ",
        &format!("\"{}\";why=retry;ms=", good.address()),
        ";status=200)",
    ] {
        assert!(decision.contains(part), "{part}\n{decision}");
    }
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    assert!(!decision.contains("secret"), "{decision}");
    assert_eq!(good.last().header("evener-debug"), None);
    // The same signature is for no other request, and another key for none.
    let other = header("another-secret-of-16", &["http://example.com/a?b=secret"]);
    for (path, header) in [("/a?b=other", &signed), ("/a?b=secret", &other), ("/a", &"X: y".to_owned())] {
        let answer = ask(&edge, path, header).await;
        assert_eq!((answer.status, answer.header("evener-decision")), (200, None), "{path} {header}");
        assert_eq!(good.last().header("evener-debug"), None);
    }
}

/// Whoever gets it may keep it.
const STORABLE: &str = "HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nSurrogate-Control: max-age=600\r\n\
    Expires: Thu, 01 Jan 2099 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn answers_of_the_edge_tell_too_and_stored_ones_keep_nothing_of_it() {
    let endpoint = Endpoint::scripted(|mut exchange: crate::support::Exchange| async move {
        exchange.send(STORABLE).await;
        Some(exchange)
    })
    .await;
    let edge = edge(
        &format!("'{}'", endpoint.address()),
        "[{ name: no, match: { path: /no }, filters: [{ deny: [127.0.0.0/8] }], pool: app }, { name: app, filters: [{ cache: { in: main } }], pool: app }]",
    )
    .await;
    let of = |path: &str| header(SECRET, &[&format!("http://EXAMPLE.com:80{path}")]);
    let refused = ask(&edge, "/no", &of("/no")).await;
    assert_eq!(refused.status, 403);
    let decision = refused.header("evener-decision").unwrap();
    assert!(decision.contains("filters=(\"deny\";verdict=rejected;"), "{decision}");
    // It is stored of an answer that tells, and given to somebody who may not know.
    let first = ask(&edge, "/", &of("/")).await;
    assert!(first.header("evener-decision").unwrap().contains("attempts=("));
    let stored = ask(&edge, "/", "X: y").await;
    assert_eq!(
        (stored.header("evener-decision"), stored.header("cache-control")),
        (None, Some("max-age=60"))
    );
    let told = ask(&edge, "/", &of("/")).await;
    let decision = told.header("evener-decision").unwrap();
    assert!(decision.contains("candidates=(") && !decision.contains("attempts=("), "{decision}");
    assert_eq!((endpoint.requests().len(), told.text()), (1, "ok"));
    for answer in [&first, &told] {
        assert_eq!(answer.headers("cache-control"), ["no-store"]);
        assert_eq!((answer.header("surrogate-control"), answer.header("expires")), (None, None));
    }
    assert_eq!(stored.header("surrogate-control"), Some("max-age=600"));
}

#[tokio::test]
async fn clients_of_http2_are_told_alike() {
    let endpoint = Endpoint::answering("good").await;
    let edge = edge(&format!("'{}'", endpoint.address()), "[{ name: app, pool: app }]").await;
    let header = header(SECRET, &["-X", "POST", "http://example.com/a"]);
    let (name, value) = header.split_once(": ").unwrap();
    let client = H2::connect(&edge).await;
    let answer = client.send(Request::post("http://example.com/a").header(name, value), "hello").await;
    let decision = answer.headers().get("evener-decision").unwrap().to_str().unwrap();
    assert!(decision.contains(&format!("attempts=(\"{}\";why=first;", endpoint.address())), "{decision}");
    assert_eq!(endpoint.last().header("evener-debug"), None);
}

#[tokio::test]
async fn so_many_are_told_in_a_second_and_nobody_without_a_key() {
    let endpoint = Endpoint::answering("good").await;
    let endpoints = format!("'{}'", endpoint.address());
    let edge = edge(&endpoints, "[{ pool: app }]").await;
    let header = header(SECRET, &["http://example.com/"]);
    let mut client = edge.connect().await;
    let mut told = 0;
    for _ in 0..200 {
        client.send(&format!("GET / HTTP/1.1\r\nHost: example.com\r\n{header}\r\n\r\n")).await;
        told += usize::from(client.response().await.header("evener-decision").is_some());
    }
    assert!((10..200).contains(&told), "{told}");
    let without = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\npools: {{ app: {{ balance: first, outlier: off, endpoints: [{endpoints}] }} }}\nroutes: [{{ pool: app }}]\n"
    );
    edge.reload(&without).await;
    assert_eq!(ask(&edge, "/", &header).await.header("evener-decision"), None);
    assert_eq!(endpoint.last().header("evener-debug"), None);
}
