//! Keys of tokens from a server that a URL names: whom it has to be, and what becomes of answers that are none.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::issuer::Issuer;
use crate::support::{Ca, Edge, Endpoint, TlsFront, eventually};

use super::jwt::{bear, claims, jwk_set};

fn config(jwks: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         routes: [{{ respond: {{}}, filters: [{{ jwt: {{ algorithms: ES256, audience: api, \
         keys: {{ jwks: {{ {jwks}, timeout: 10s }} }} }} }}] }}]\n\
         log: {{ access: {{ to: LOG }} }}\n"
    )
}

/// A server with the keys of this issuer.
async fn server(issuer: &Issuer) -> Endpoint {
    let set = jwk_set(&[issuer]);
    Endpoint::with(move |_| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{set}", set.len())).await
}

/// What becomes of a good token where the keys are had so.
async fn status(jwks: &str, issuer: &Issuer) -> u16 {
    let edge = Edge::start(&config(jwks)).await;
    bear(&edge, &issuer.token(&claims("ada"))).await
}

fn https(host: &str, front: &TlsFront, ca: &Path) -> String {
    format!("url: 'https://{host}:{}/keys?a=b', ca: '{}'", front.address().port(), ca.display())
}

#[tokio::test]
async fn the_server_is_verified_by_its_name_and_the_authorities() {
    let folder = tempfile::tempdir().unwrap();
    let (ca, other) = (Ca::new("own"), Ca::new("other"));
    let (own_file, other_file) =
        (ca.write(folder.path(), "own.pem"), other.write(folder.path(), "other.pem"));
    let issuer = Issuer::new("ES256", "a");
    let idp = server(&issuer).await;
    let front =
        TlsFront::new(ca.issue(&["localhost", "127.0.0.1"]).server(&["http/1.1"]), idp.address()).await;
    assert_eq!(status(&https("localhost", &front, &own_file), &issuer).await, 200);
    let asked = idp.last();
    assert_eq!(asked.line(), "GET /keys?a=b HTTP/1.1");
    assert_eq!(asked.headers("host"), [format!("localhost:{}", front.address().port())]);
    assert_eq!(front.handshakes()[0].name.as_deref(), Some("localhost"));
    assert_eq!(status(&https("127.0.0.1", &front, &own_file), &issuer).await, 200);

    let fetches = idp.requests().len();
    assert_eq!(status(&https("localhost", &front, &other_file), &issuer).await, 503);
    let url = format!("url: 'https://localhost:{}/'", front.address().port());
    assert_eq!(status(&url, &issuer).await, 503, "this machine does not trust the authority");
    let misnamed = TlsFront::new(ca.issue(&["idp.example"]).server(&[]), idp.address()).await;
    assert_eq!(status(&https("localhost", &misnamed, &own_file), &issuer).await, 503);
    let plain = format!("url: 'https://localhost:{}/', ca: '{}'", idp.address().port(), own_file.display());
    assert_eq!(status(&plain, &issuer).await, 503);
    assert_eq!(idp.requests().len(), fetches, "nobody else was asked for anything");
}

#[tokio::test]
async fn a_server_of_this_machine_may_do_without_tls() {
    let issuer = Issuer::new("ES256", "a");
    let idp = server(&issuer).await;
    let port = idp.address().port();
    for host in ["127.0.0.1", "localhost"] {
        assert_eq!(status(&format!("url: 'http://{host}:{port}/'"), &issuer).await, 200, "{host}");
    }
    let nowhere = format!("url: 'http://nowhere.invalid:{port}/', cleartext: true");
    assert_eq!(status(&nowhere, &issuer).await, 503);
}

#[tokio::test]
async fn redirects_and_answers_that_are_too_large_are_no_keys() {
    let issuer = Issuer::new("ES256", "a");
    let idp = server(&issuer).await;
    let (there, set) = (idp.address(), jwk_set(&[&issuer]));
    let other = Endpoint::with(move |request| match request.path() {
        "/moved" => {
            format!("HTTP/1.1 302 Found\r\nLocation: http://{there}/\r\nContent-Length: 0\r\n\r\n")
        }
        "/large" => {
            let padded = format!("{set}{}", " ".repeat(300 << 10));
            format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{padded}", padded.len())
        }
        _ => format!("HTTP/1.1 200 OK\r\nX: {}\r\nContent-Length: 2\r\n\r\n{{}}", "x".repeat(20_000)),
    })
    .await;
    for path in ["/moved", "/large", "/head"] {
        let url = format!("url: 'http://{}{path}'", other.address());
        assert_eq!(status(&url, &issuer).await, 503, "{path}");
    }
    assert!(idp.requests().is_empty());
}

#[tokio::test]
async fn the_last_keys_count_while_the_server_fails() {
    let issuer = Issuer::new("ES256", "a");
    let (set, is_up) = (jwk_set(&[&issuer]), Arc::new(AtomicBool::new(true)));
    let up = is_up.clone();
    let idp = Endpoint::with(move |_| match up.load(Ordering::Relaxed) {
        true => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{set}", set.len()),
        false => "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\n{\"keys\":[]}".to_owned(),
    })
    .await;
    let edge = Edge::start(&config(&format!("url: 'http://{}/', min_refresh: 1s", idp.address()))).await;
    let token = issuer.token(&claims("ada"));
    assert_eq!(bear(&edge, &token).await, 200);
    is_up.store(false, Ordering::Relaxed);
    let asked = idp.requests().len();
    let unknown = issuer.with_id("b").token(&claims("ada"));
    eventually("the server was asked again", async || {
        assert_eq!(bear(&edge, &unknown).await, 401);
        idp.requests().len() > asked
    })
    .await;
    drop(idp);
    assert_eq!(bear(&edge, &token).await, 200);
    edge.reload(&format!("server: {{ zone: other }}\n{}", config("url: 'http://127.0.0.1:1/'"))).await;
    assert_eq!(bear(&edge, &token).await, 503, "those of another place are not");
}
