//! Clients that stick to an endpoint.

use std::net::SocketAddr;

use crate::support::{Edge, Endpoint, Response};

use super::{GET, site};

const SIGNED: &str =
    "balance: round_robin, sticky: { cookie: srv, secret: 0123456789abcdef0123456789abcdef },";
const FROM_FILE: &str = "balance: round_robin, sticky: { cookie: srv },";

fn cookie_of(response: &Response) -> Option<String> {
    let cookie = response.header("set-cookie")?;
    Some(cookie.split(';').next().unwrap().to_owned())
}

async fn with_cookie(edge: &Edge, cookie: &str) -> Response {
    edge.send(&format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {cookie}\r\n\r\n")).await
}

/// The cookie of each of the endpoints, in their order, with what they answer.
async fn cookies(edge: &Edge, names: &[&str]) -> Vec<String> {
    let mut found = vec![String::new(); names.len()];
    for _ in 0..2 * names.len() {
        let response = edge.send(GET).await;
        let index = names.iter().position(|name| *name == response.text()).unwrap();
        found[index] = cookie_of(&response).unwrap();
    }
    assert!(found.iter().all(|cookie| !cookie.is_empty()), "{found:?}");
    found
}

#[tokio::test]
async fn cookies_lead_to_the_same_endpoints_whatever_their_order() {
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let [a, b, c, d] = NAMES.map(Endpoint::answering);
    let (a, b, c, d) = (a.await, b.await, c.await, d.await);
    let all: [SocketAddr; 4] = [&a, &b, &c, &d].map(|endpoint| endpoint.address());
    let edge = Edge::start(&site("pool: app", SIGNED, &all[..3])).await;
    let cookies = cookies(&edge, &NAMES[..3]).await;
    // Turned round, with a newcomer in front; by another policy; without the first.
    for (keys, endpoints) in [
        (SIGNED.to_owned(), vec![all[3], all[2], all[1], all[0]]),
        (SIGNED.replace("round_robin", "first"), vec![all[1], all[3], all[0], all[2]]),
        (SIGNED.replace("round_robin", "first"), vec![all[3], all[2], all[1]]),
    ] {
        edge.reload(&site("pool: app", &keys, &endpoints)).await;
        for (index, cookie) in cookies.iter().enumerate() {
            if !endpoints.contains(&all[index]) {
                continue;
            }
            for _ in 0..3 {
                let response = with_cookie(&edge, cookie).await;
                assert_eq!((response.text(), cookie_of(&response)), (NAMES[index], None), "{endpoints:?}");
            }
        }
    }
    // Whose endpoint is gone gets another, and its cookie.
    let moved = with_cookie(&edge, &cookies[0]).await;
    assert_eq!(moved.text(), "d");
    let cookie = cookie_of(&moved).unwrap();
    assert_ne!(cookie, cookies[0]);
    assert_eq!(with_cookie(&edge, &cookie).await.text(), "d");
    // And is led back by the old one when that has come again.
    edge.reload(&site("pool: app", SIGNED, &all)).await;
    assert_eq!(with_cookie(&edge, &cookies[0]).await.text(), "a");
}

#[tokio::test]
async fn cookies_hold_when_the_secrets_file_is_deleted() {
    let (a, b) = (Endpoint::answering("a").await, Endpoint::answering("b").await);
    let config = |keys: &str| {
        format!(
            "server: {{ secret_file: DIR/secret }}\n{}",
            site("pool: app", keys, &[a.address(), b.address()])
        )
    };
    let edge = Edge::start(&config(FROM_FILE)).await;
    let cookies = cookies(&edge, &["a", "b"]).await;
    let file = edge.folder().join("secret");
    let secret = std::fs::read(&file).unwrap();
    let timed = format!("{FROM_FILE} timeouts: {{ first_byte: 7s }},");
    for keys in [FROM_FILE, &timed, FROM_FILE] {
        std::fs::remove_file(&file).unwrap();
        edge.reload(&config(keys)).await;
        assert_eq!(std::fs::read(&file).unwrap(), secret);
        for (cookie, name) in cookies.iter().zip(["a", "b"]) {
            assert_eq!(with_cookie(&edge, cookie).await.text(), name);
        }
    }
    // Another secret is another secret: no cookie holds.
    std::fs::write(&file, "another secret, long enough").unwrap();
    assert_eq!(edge.reload(&config(FROM_FILE)).await, "~ server.secret_file: the secret\n");
    assert!(cookie_of(&with_cookie(&edge, &cookies[0]).await).is_some());
    // One that cannot be used is refused, and nothing changes.
    std::fs::write(&file, "short").unwrap();
    let refused = edge.try_reload(&config(&timed)).await.unwrap_err();
    assert!(refused.contains("server.secret_file: ") && refused.contains("it has 5 bytes"), "{refused}");
}
