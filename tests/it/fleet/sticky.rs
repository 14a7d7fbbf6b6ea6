use crate::support::{Edge, Endpoint, Response, eventually};

use super::{GET, fleet, waiting};

const SECRET: &str = "secret: 0123456789abcdef0123456789abcdef";

async fn with_cookie(edge: &Edge, cookie: &str) -> Response {
    edge.send(&format!("GET / HTTP/1.1\r\nHost: example.com\r\nCookie: a=b; {cookie}\r\n\r\n")).await
}

/// The `name=value` of the answer's only cookie.
fn cookie_of(response: &Response) -> String {
    let [cookie] = response.headers("set-cookie")[..] else { panic!("{}", response.head) };
    cookie.split(';').next().unwrap().to_owned()
}

async fn two() -> (Endpoint, Endpoint) {
    (Endpoint::answering("one").await, Endpoint::answering("two").await)
}

fn pool(sticky: &str) -> String {
    format!("balance: round_robin, {}", keys(sticky))
}

fn keys(sticky: &str) -> String {
    format!("sticky: {{ cookie: srv, {sticky} }},")
}

#[tokio::test]
async fn a_client_comes_back_to_its_endpoint_also_after_a_restart() {
    let (one, two) = two().await;
    let config = fleet(&pool(SECRET), &[&one.address(), &two.address()]);
    let edge = Edge::start(&config).await;
    let first = edge.send(GET).await;
    let cookie = cookie_of(&first);
    assert!(first.header("set-cookie").unwrap().ends_with("; Path=/; HttpOnly; SameSite=Lax"));
    let restarted = Edge::start(&config).await;
    for edge in [&edge, &restarted] {
        for _ in 0..5 {
            let again = with_cookie(edge, &cookie).await;
            assert_eq!((again.text(), again.header("set-cookie")), (first.text(), None));
        }
    }
}

#[tokio::test]
async fn a_cookie_that_was_tampered_with_is_none() {
    let (one, two) = two().await;
    let edge = Edge::start(&fleet(&pool(SECRET), &[&one.address(), &two.address()])).await;
    let mut cookie = cookie_of(&edge.send(GET).await);
    let last = cookie.pop().unwrap();
    cookie.push(if last == '0' { '1' } else { '0' });
    let bodies = [with_cookie(&edge, &cookie).await, with_cookie(&edge, &cookie).await];
    assert_ne!(bodies[0].text(), bodies[1].text(), "turns go on");
    assert!(bodies.iter().all(|response| response.header("set-cookie").is_some()));
}

#[tokio::test]
async fn a_client_whose_endpoint_is_gone_gets_another_and_its_cookie() {
    let (one, two) = two().await;
    let keys = format!("{} health: {{ tcp: {{}}, interval: 100ms, timeout: 100ms, fall: 1 }},", pool(SECRET));
    let edge = Edge::start(&fleet(&keys, &[&one.address(), &two.address()])).await;
    let cookie = loop {
        let response = edge.send(GET).await;
        if response.text() == "one" {
            break cookie_of(&response);
        }
    };
    assert_eq!(with_cookie(&edge, &cookie).await.text(), "one");
    drop(one);
    let moved = std::cell::RefCell::new(None);
    eventually("the client is bound elsewhere", async || {
        let response = with_cookie(&edge, &cookie).await;
        assert_eq!((response.status, response.text()), (200, "two"));
        let is_moved = response.header("set-cookie").is_some();
        *moved.borrow_mut() = Some(response);
        is_moved
    })
    .await;
    let moved = moved.take().unwrap();
    assert_eq!(moved.text(), "two");
    assert_eq!(with_cookie(&edge, &cookie_of(&moved)).await.text(), "two");
}

#[tokio::test]
async fn a_client_whose_endpoint_is_full_is_served_elsewhere_and_stays_bound() {
    let ((one, gate), two) = (Endpoint::held().await, Endpoint::answering("two").await);
    let config = fleet(
        &format!("max_requests: 1, balance: first, {}", keys(SECRET)),
        &[&one.address(), &two.address()],
    );
    let edge = Edge::start(&config).await;
    gate.add_permits(1);
    let cookie = cookie_of(&edge.send(GET).await);
    let mut busy = waiting(&edge).await;
    eventually("the first is full", async || one.requests().len() == 2).await;
    let elsewhere = with_cookie(&edge, &cookie).await;
    assert_eq!((elsewhere.text(), elsewhere.header("set-cookie")), ("two", None));
    gate.add_permits(2);
    busy.response().await;
    assert_eq!(with_cookie(&edge, &cookie).await.text(), "ok");
}

#[tokio::test]
async fn the_cookie_is_as_the_configuration_says() {
    let (one, two) = two().await;
    let sticky = pool("ttl: 1h, path: /app, domain: example.com, same_site: strict");
    let edge = Edge::start(&fleet(&sticky, &[&one.address(), &two.address()])).await;
    let response = edge.send(GET).await;
    let cookie = response.header("set-cookie").unwrap();
    let attributes = cookie.split_once(';').unwrap().1;
    assert_eq!(attributes, " Path=/app; Max-Age=3600; Domain=example.com; HttpOnly; SameSite=Strict");
    let secret = edge.folder().join("run/evener.secret");
    assert_eq!(
        std::fs::read(secret).unwrap().len(),
        64,
        "without a secret of its own the pool uses the file's"
    );
}

#[tokio::test]
async fn a_failing_endpoint_binds_nobody() {
    let failing =
        Endpoint::with(|_| "HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n".to_owned())
            .await;
    let edge = Edge::start(&fleet(&pool(SECRET), &[&failing.address()])).await;
    let response = edge.send(GET).await;
    assert_eq!((response.status, response.header("set-cookie")), (500, None));
}
