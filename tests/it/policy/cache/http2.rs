//! Clients of HTTP/2 get what clients of HTTP/1 do.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{Request, Response, StatusCode};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::collapsing::held;
use super::{counting, edge};
use crate::support::{Edge, PATIENCE, eventually};

async fn connect(edge: &Edge) -> SendRequest<Bytes> {
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests
}

async fn ask(requests: &SendRequest<Bytes>, method: &str, fields: &[(&str, &str)]) -> Response<Vec<u8>> {
    let mut request = Request::builder().method(method).uri("http://example.com/");
    for &(name, value) in fields {
        request = request.header(name, value);
    }
    let exchange = async {
        let mut requests = requests.clone().ready().await.unwrap();
        let (response, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
        let (head, mut body) = response.await.unwrap().into_parts();
        let mut whole = Vec::new();
        while let Some(piece) = body.data().await {
            let piece = piece.unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            whole.extend_from_slice(&piece);
        }
        Response::from_parts(head, whole)
    };
    timeout(PATIENCE, exchange).await.expect("is answered in time")
}

fn did(response: &Response<Vec<u8>>) -> &str {
    response.headers().get("cache-status").map_or("nothing", |status| status.to_str().unwrap())
}

#[tokio::test]
async fn stored_answers_are_given_whole_in_part_and_by_validators() {
    let endpoint = counting("Cache-Control: max-age=60\r\nETag: \"a\"\r\n").await;
    let edge = edge(&endpoint, "").await;
    let requests = connect(&edge).await;
    let first = ask(&requests, "GET", &[]).await;
    assert_eq!((first.body().as_slice(), did(&first)), (&b"answer 1"[..], "evener; fwd=uri-miss; stored"));
    for (method, fields, status, body) in [
        ("GET", &[][..], 200, "answer 1"),
        ("HEAD", &[], 200, ""),
        ("GET", &[("range", "bytes=1-3")], 206, "nsw"),
        ("GET", &[("range", "bytes=-1")], 206, "1"),
        ("GET", &[("range", "bytes=100-")], 416, ""),
        ("HEAD", &[("range", "bytes=1-3")], 200, ""),
        ("GET", &[("range", "bytes=1-3"), ("if-range", "\"b\"")], 200, "answer 1"),
        ("GET", &[("if-none-match", "W/\"a\"")], 304, ""),
        ("GET", &[("if-none-match", "\"b\"")], 200, "answer 1"),
    ] {
        let response = ask(&requests, method, fields).await;
        let told = (response.status().as_u16(), std::str::from_utf8(response.body()).unwrap());
        assert_eq!(told, (status, body), "{method} {fields:?}");
        assert!(did(&response).starts_with("evener; hit"), "{method} {fields:?} {}", did(&response));
        let length = response.headers().get("content-length").map(|length| length.to_str().unwrap());
        if method == "HEAD" {
            assert_eq!(length, Some("8"));
        }
    }
    let parts = ask(&requests, "GET", &[("range", "bytes=0-1,4-5")]).await;
    assert_eq!(parts.status(), StatusCode::PARTIAL_CONTENT);
    let text = std::str::from_utf8(parts.body()).unwrap();
    assert!(text.contains("\r\n\r\nan\r\n--") && text.contains("\r\n\r\ner\r\n--"), "{text}");
    assert_eq!(parts.headers()["content-length"], parts.body().len().to_string());
    assert_eq!(endpoint.requests().len(), 1);
    // What one protocol has stored, the other gives.
    assert_eq!(edge.get("/").await.text(), "answer 1");
}

#[tokio::test]
async fn streams_that_ask_for_the_same_cost_one_request() {
    let (endpoint, gate) = held("Cache-Control: max-age=60\r\n").await;
    let edge = edge(&endpoint, "").await;
    let requests = connect(&edge).await;
    let streams: Vec<_> = (0..20)
        .map(|_| {
            let requests = requests.clone();
            tokio::spawn(async move { ask(&requests, "GET", &[]).await })
        })
        .collect();
    eventually("one asks", async || endpoint.requests().len() == 1).await;
    gate.add_permits(1);
    for stream in streams {
        assert_eq!(stream.await.unwrap().body(), b"ok");
    }
    assert_eq!(endpoint.requests().len(), 1);
}
