//! Every stream of HTTP/2 is judged on its own, whatever others of its connection were.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Edge, Endpoint, PATIENCE, eventually};

use super::filtered;

pub(super) async fn connect(edge: &Edge) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests
}

pub(super) async fn status(requests: &SendRequest<Bytes>, fields: &[(&str, &str)]) -> u16 {
    let mut request = Request::get("http://example.com/");
    for &(name, value) in fields {
        request = request.header(name, value);
    }
    let mut requests = requests.clone().ready().await.unwrap();
    let (response, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
    timeout(PATIENCE, response).await.expect("is answered in time").unwrap().status().as_u16()
}

#[tokio::test]
async fn a_stream_is_not_let_in_by_another() {
    let endpoint = Endpoint::answering("ok").await;
    let hash = bcrypt::hash("lovelace", 4).unwrap();
    let filters = format!(
        "{{ api_key: {{ keys: {{ acme: acme-0123456789-key }} }} }}, {{ basic_auth: {{ passwords: {{ ada: '{hash}' }} }} }}"
    );
    let edge = Edge::start(&filtered(endpoint.address(), &filters)).await;
    let requests = connect(&edge).await;
    let password = format!("Basic {}", STANDARD.encode("ada:lovelace"));
    let (key, password) = (("x-api-key", "acme-0123456789-key"), ("authorization", password.as_str()));
    for (fields, expected) in [
        (&[key, password][..], 200),
        (&[key][..], 401),
        (&[password][..], 401),
        (&[][..], 401),
        (&[key, key, password][..], 200),
        (&[key, ("x-api-key", "other"), password][..], 401),
        (&[key, password, password][..], 401),
        (&[("x-consumer", "acme"), ("x-user", "ada")][..], 401),
    ] {
        assert_eq!(status(&requests, fields).await, expected, "{fields:?}");
    }
    for seen in endpoint.requests() {
        assert_eq!((seen.header("x-consumer"), seen.header("x-user")), (Some("acme"), Some("ada")));
        assert!(seen.header("x-api-key").is_none() && seen.header("authorization").is_none());
    }
}

#[tokio::test]
async fn a_stream_that_is_given_up_while_it_waits_is_not_served() {
    let (endpoint, gate) = Endpoint::held().await;
    let filters = "{ concurrency: { max: 1, queue: 1, queue_timeout: 20s } }";
    let edge = Edge::start(&filtered(endpoint.address(), filters)).await;
    let requests = connect(&edge).await;
    let ask = |path: &str| {
        let request = Request::post(format!("http://example.com{path}")).body(()).unwrap();
        let mut requests = requests.clone();
        async move {
            requests = requests.ready().await.unwrap();
            let (response, mut body) = requests.send_request(request, false).unwrap();
            body.send_data("all".into(), true).unwrap();
            response.await.unwrap().status().as_u16()
        }
    };
    let first = tokio::spawn(ask("/first"));
    eventually("it is with the endpoint", async || endpoint.requests().len() == 1).await;
    let (mut one, mut other) = (Box::pin(ask("/one")), Box::pin(ask("/other")));
    let (refused, waiting) = tokio::select! {
        status = &mut one => (status, other),
        status = &mut other => (status, one),
    };
    assert_eq!(refused, 429);
    drop(waiting);
    // What comes after it on the connection is seen after it.
    assert_eq!(status(&requests, &[]).await, 429);
    gate.add_permits(100);
    assert_eq!(first.await.unwrap(), 200);
    let log = edge.log_of(4).await;
    assert!(log.iter().any(|line| line["cause"] == "client_gone"), "{log:?}");
    assert_eq!(endpoint.requests().len(), 1);
}
