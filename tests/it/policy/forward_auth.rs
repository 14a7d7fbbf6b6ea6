//! A service that says whether requests may pass, as it is, as it should not be, and when it is gone.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http::Request as HttpRequest;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Edge, Endpoint, Exchange, H2Endpoint, PATIENCE, Response, dead, eventually};

/// The filter before one endpoint.
fn config(endpoint: &Endpoint, auth: SocketAddr, pool: &str, keys: &str) -> String {
    format!(
        "server: {{ caches: {{ main: {{ memory: 8MiB }} }} }}\n\
         listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools:\n  app: {{ endpoints: ['{}'] }}\n  auth: {{ endpoints: ['{auth}'], outlier: off, {pool} }}\n\
         routes:\n\
         - match: {{ path: /cached/ }}\n  \
           filters: [{{ forward_auth: {{ pool: auth, {keys} }} }}, {{ cache: {{ in: main }} }}]\n  pool: app\n\
         - filters: [{{ forward_auth: {{ pool: auth, {keys} }} }}]\n  pool: app\n\
         log: {{ access: {{ to: LOG }} }}\n",
        endpoint.address()
    )
}

const TAKES: &str = "to_request: [X-User], to_response: [Set-Cookie], timeout: 10s";

/// Lets `Bearer ada` pass, and sends others to sign in.
async fn auth() -> Endpoint {
    Endpoint::with(|request| match request.header("authorization") {
        Some("Bearer ada") => {
            "HTTP/1.1 200 OK\r\nX-User: ada\r\nSet-Cookie: s=1\r\nContent-Length: 0\r\n\r\n".to_owned()
        }
        Some("Bearer nobody") => "HTTP/1.1 204 No Content\r\n\r\n".to_owned(),
        Some(_) => "HTTP/1.1 403 Forbidden\r\nX-Internal: 1\r\nContent-Type: text/plain\r\n\
                    Content-Length: 2\r\n\r\nno"
            .to_owned(),
        None => "HTTP/1.1 302 Found\r\nLocation: https://login.example/?rd=1\r\nContent-Length: 0\r\n\r\n"
            .to_owned(),
    })
    .await
}

async fn ask(edge: &Edge, line: &str, fields: &str) -> Response {
    edge.send(&format!("{line} HTTP/1.1\r\nHost: app.example:8080\r\n{fields}\r\n")).await
}

#[tokio::test]
async fn the_service_decides_and_endpoints_believe_nobody_else() {
    let (auth, app) = (auth().await, Endpoint::answering("app").await);
    let edge = Edge::start(&config(&app, auth.address(), "", &format!("path: /verify, {TAKES}"))).await;
    let spoofed = "X-User: root\r\nx_user: root\r\nX-USER: root\r\nX-Forwarded-User: root\r\n";

    let passed = ask(&edge, "GET /a%2fb//c?d=e", &format!("Authorization: Bearer ada\r\n{spoofed}")).await;
    assert_eq!((passed.status, passed.text(), passed.header("set-cookie")), (200, "app", Some("s=1")));
    let seen = app.last();
    assert_eq!((seen.headers("x-user"), seen.header("x_user")), (vec!["ada"], None));
    let asked = auth.last();
    assert_eq!(asked.line(), "GET /verify HTTP/1.1");
    let address = auth.address().to_string();
    for (name, expected) in [
        ("host", address.as_str()),
        ("authorization", "Bearer ada"),
        ("x-forwarded-method", "GET"),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-host", "app.example:8080"),
        ("x-forwarded-uri", "/a%2Fb/c?d=e"),
        ("x-forwarded-for", "127.0.0.1"),
    ] {
        assert_eq!(asked.headers(name), [expected], "{name}");
    }
    assert_eq!(asked.header("x-request-id"), seen.header("x-request-id"));
    assert_eq!(asked.header("x-user"), None);

    ask(&edge, "GET /", &format!("Authorization: Bearer nobody\r\n{spoofed}")).await;
    assert_eq!(app.last().header("x-user"), None, "the service named nobody");
    ask(&edge, "POST /", &format!("Authorization: Bearer ada\r\nContent-Length: 4\r\n{spoofed}\r\nbody"))
        .await;
    assert_eq!(app.last().body, b"body");
    assert!(auth.last().body.is_empty());
    assert_eq!(auth.last().header("x-forwarded-method"), Some("POST"));
}

#[tokio::test]
async fn a_refusal_is_the_clients_and_no_way_leads_past_it() {
    let (auth, app) = (auth().await, Endpoint::answering("app").await);
    let edge = Edge::start(&config(&app, auth.address(), "", TAKES)).await;
    for (line, fields, expected) in [
        ("GET /", "", 302),
        ("HEAD /", "", 302),
        ("GET /a/%2e%2e/x", "X-User: ada\r\n", 302),
        ("GET http://app.example:8080/", "", 302),
        ("GET /", "Authorization: Bearer eve\r\n", 403),
        ("OPTIONS /", "Authorization: Bearer eve\r\n", 403),
        ("GET /", "Connection: Authorization\r\nAuthorization: Bearer ada\r\n", 302),
        ("GET /", "Authorization: Bearer eve\r\nauthorization: Bearer ada\r\n", 400),
        ("GET /", "Authorization_: Bearer ada\r\nX-Forwarded-Uri: /public\r\n", 302),
        ("GET /", "Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n", 302),
    ] {
        let response = ask(&edge, line, fields).await;
        assert_eq!(response.status, expected, "{line} {fields}");
    }
    assert!(app.requests().is_empty());
    for asked in auth.requests() {
        assert_eq!(asked.headers("x-forwarded-uri").len(), 1, "{}", asked.head);
        assert!(asked.header("upgrade").is_none() && asked.header("x-forwarded-uri") != Some("/public"));
    }
    let refused = ask(&edge, "GET /", "Authorization: Bearer eve\r\n").await;
    assert_eq!((refused.text(), refused.header("content-type")), ("no", Some("text/plain")));
    assert_eq!((refused.header("x-internal"), refused.header("cache-control")), (None, Some("no-store")));
    let redirect = ask(&edge, "GET /", "").await;
    assert_eq!(redirect.header("location"), Some("https://login.example/?rd=1"));
}

#[tokio::test]
async fn a_connection_that_the_service_has_closed_refuses_nobody() {
    // Every second question on a connection finds it closed.
    let count = Arc::new(AtomicUsize::new(0));
    let asked = count.clone();
    let auth = Endpoint::scripted(move |mut exchange| {
        let is_closed = asked.fetch_add(1, Ordering::Relaxed) % 2 == 1;
        async move {
            if is_closed {
                return None;
            }
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await;
            Some(exchange)
        }
    })
    .await;
    let app = Endpoint::answering("app").await;
    let config = config(&app, auth.address(), "", "method: POST, timeout: 10s");
    let edge = Edge::start(&config).await;
    for _ in 0..4 {
        assert_eq!(ask(&edge, "POST /", "Content-Length: 0\r\n").await.status, 200);
    }
    assert_eq!(count.load(Ordering::Relaxed), 7);
    assert_eq!(auth.last().line(), "POST / HTTP/1.1");
}

/// Answers, if at all, as the path of the client's request says.
async fn broken(mut exchange: Exchange) -> Option<Exchange> {
    let whole = "HTTP/1.1 200 OK\r\nX-User: ada\r\nContent-Length: 2\r\n\r\nok";
    match exchange.request.header("x-forwarded-uri").unwrap() {
        "/slow" => std::future::pending().await,
        "/half" => {
            exchange.send("HTTP/1.1 200 OK\r\nX-User: ada\r\nContent-Length: 5\r\n\r\nok").await;
            return None;
        }
        "/half-head" => {
            exchange.send("HTTP/1.1 200 OK\r\nX-User: ada\r\n").await;
            return None;
        }
        "/closed" => return None,
        "/garbage" => exchange.send("200 OK\r\n\r\n").await,
        "/switches" => exchange.send("HTTP/1.1 101 Switching Protocols\r\nUpgrade: a\r\n\r\n").await,
        "/head" => {
            let long = "x".repeat(40_000);
            exchange.send(format!("HTTP/1.1 200 OK\r\nX: {long}\r\nContent-Length: 0\r\n\r\n")).await;
        }
        "/error" => exchange.send("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n").await,
        "/early" => exchange.send(format!("HTTP/1.1 103 Early Hints\r\nLink: <a>\r\n\r\n{whole}")).await,
        "/endless" | "/endless-refusal" => {
            let refuses = exchange.request.header("x-forwarded-uri") == Some("/endless-refusal");
            let status = if refuses { "401 No" } else { "200 OK" };
            exchange.send(format!("HTTP/1.1 {status}\r\nTransfer-Encoding: chunked\r\n\r\n")).await;
            let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
            for _ in 0..4096 {
                if tokio::io::AsyncWriteExt::write_all(&mut exchange.stream, chunk.as_bytes()).await.is_err()
                {
                    return None;
                }
            }
        }
        _ => exchange.send(whole).await,
    }
    Some(exchange)
}

#[tokio::test]
async fn where_the_service_fails_nobody_passes() {
    let (auth, app) = (Endpoint::scripted(broken).await, Endpoint::answering("app").await);
    let edge = Edge::start(&config(&app, auth.address(), "", "timeout: 300ms")).await;
    let failures = ["/slow", "/half", "/half-head", "/closed", "/garbage", "/switches", "/head", "/error"];
    for path in failures {
        let response = ask(&edge, &format!("GET {path}"), "").await;
        assert_eq!(response.status, 503, "{path}");
    }
    assert!(app.requests().is_empty());
    let log = edge.log_of(failures.len()).await;
    assert!(log.iter().all(|line| line["cause"] == "auth_unavailable"), "{log:?}");
}

#[tokio::test]
async fn long_answers_and_early_ones_do_not_matter() {
    let (auth, app) = (Endpoint::scripted(broken).await, Endpoint::answering("app").await);
    let edge = Edge::start(&config(&app, auth.address(), "", TAKES)).await;
    for path in ["/early", "/endless", "/"] {
        let response = ask(&edge, &format!("GET {path}"), "").await;
        assert_eq!((response.status, response.text()), (200, "app"), "{path}");
    }
    let refused = ask(&edge, "GET /endless-refusal", "").await;
    assert_eq!((refused.status, refused.text()), (401, ""));
}

#[tokio::test]
async fn a_service_that_is_gone_or_full_lets_nobody_pass() {
    let app = Endpoint::answering("app").await;
    let edge = Edge::start(&config(&app, dead().await, "", TAKES)).await;
    assert_eq!(ask(&edge, "GET /", "").await.status, 503);

    let (held, gate) = Endpoint::held().await;
    let full = "max_requests: 1, queue: { size: 0, timeout: 1s }";
    edge.reload(&config(&app, held.address(), full, TAKES)).await;
    let first = ask(&edge, "GET /", "");
    let second = async {
        eventually("the first is asked about", async || held.requests().len() == 1).await;
        assert_eq!(ask(&edge, "GET /", "").await.status, 503);
        gate.add_permits(1);
    };
    assert_eq!(tokio::join!(first, second).0.status, 200);
    assert_eq!(app.requests().len(), 1);
}

#[tokio::test]
async fn stored_answers_are_for_those_who_may_pass() {
    let (auth, app) = (
        auth().await,
        Endpoint::with(|_| {
            "HTTP/1.1 200 OK\r\nCache-Control: public, max-age=60\r\nContent-Length: 6\r\n\r\nstored"
                .to_owned()
        })
        .await,
    );
    let edge = Edge::start(&config(&app, auth.address(), "", TAKES)).await;
    for _ in 0..2 {
        let passed = ask(&edge, "GET /cached/a", "Authorization: Bearer ada\r\n").await;
        assert_eq!((passed.text(), passed.header("set-cookie")), ("stored", Some("s=1")));
    }
    assert_eq!(app.requests().len(), 1);
    assert_eq!(ask(&edge, "GET /cached/a", "").await.status, 302);
    assert_eq!(ask(&edge, "GET /cached/a", "Authorization: Bearer eve\r\n").await.status, 403);
    // What is the client's is not stored with the answer.
    let passed = ask(&edge, "GET /cached/a", "Authorization: Bearer nobody\r\n").await;
    assert_eq!((passed.text(), passed.header("set-cookie")), ("stored", None));
}

#[tokio::test]
async fn a_word_that_counts_for_a_while_is_about_the_same_request() {
    let (auth, app) = (auth().await, Endpoint::answering("app").await);
    let keys = "to_request: [X-User], cache: { ttl: 1m }";
    let edge = Edge::start(&config(&app, auth.address(), "", keys)).await;
    let nobody = "Authorization: Bearer nobody\r\n";
    for (line, expected) in [("GET /", 1), ("GET /", 1), ("GET /b", 2), ("POST /", 3), ("GET /?a", 4)] {
        assert_eq!(ask(&edge, line, &format!("{nobody}X-User: root\r\n")).await.status, 200);
        assert_eq!(app.last().header("x-user"), None);
        assert_eq!(auth.requests().len(), expected, "{line}");
    }
    assert_eq!(ask(&edge, "GET /", "").await.status, 302);
    assert_eq!(ask(&edge, "GET /", "").await.status, 302);
    assert_eq!(auth.requests().len(), 6, "refusals count once");
}

#[tokio::test]
async fn streams_of_http2_are_asked_about_each_on_its_own() {
    let count = Arc::new(AtomicUsize::new(0));
    let asked = count.clone();
    let auth = H2Endpoint::scripted(move |mut exchange| {
        asked.fetch_add(1, Ordering::Relaxed);
        async move {
            exchange.read().await;
            let cookies: Vec<_> = exchange.head.headers().get_all("cookie").iter().cloned().collect();
            let is_known = cookies == ["a=1; sid=ada"];
            let status = if is_known { 200 } else { 401 };
            let head = http::Response::builder().status(status).header("x-user", "ada").body(()).unwrap();
            exchange.begin(head, true);
        }
    })
    .await;
    let app = Endpoint::answering("app").await;
    let edge = Edge::start(&config(&app, auth.address(), "protocol: h2c", TAKES)).await;
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let status = async |fields: &[(&str, &str)]| {
        let builder = HttpRequest::get("http://app.example/").header("x-user", "root");
        let request = fields.iter().fold(builder, |builder, (name, value)| builder.header(*name, *value));
        let mut requests = requests.clone().ready().await.unwrap();
        let (response, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
        timeout(PATIENCE, response).await.expect("is answered in time").unwrap().status().as_u16()
    };
    // Browsers split cookies over HTTP/2.
    let known = [("cookie", "a=1"), ("cookie", "sid=ada")];
    for (fields, expected) in [(&known[..], 200), (&known[..1], 401), (&[], 401), (&known, 200)] {
        assert_eq!(status(fields).await, expected, "{fields:?}");
    }
    assert_eq!(count.load(Ordering::Relaxed), 4);
    assert!(app.requests().iter().all(|seen| seen.headers("x-user") == ["ada"]));
}

#[tokio::test]
async fn clients_that_leave_leave_nothing_behind() {
    let (auth, _gate) = Endpoint::held().await;
    let app = Endpoint::answering("app").await;
    let pool = "max_requests: 1, queue: { size: 0, timeout: 1s }";
    let edge = Edge::start(&config(&app, auth.address(), pool, "timeout: 200ms")).await;
    let mut client = edge.connect().await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    eventually("it is asked about", async || auth.requests().len() == 1).await;
    drop(client);
    // Its place at the service is free again, at the latest when the time is over.
    let is_asked = async || {
        let _ = ask(&edge, "GET /", "").await;
        auth.requests().len() > 1
    };
    eventually("the place is free", is_asked).await;
}
