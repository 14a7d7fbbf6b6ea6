//! Variants, long answers in files and clients of HTTP/2.

use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{FRESH, OLD, held, old_then, until_fresh, with_old};
use crate::policy::cache::did;
use crate::support::{Edge, Endpoint, PATIENCE, Response, eventually};

#[tokio::test]
async fn each_variant_is_refreshed_for_itself() {
    let (endpoint, gate) = held(|request, number| {
        let fields = if number <= 3 { OLD } else { FRESH };
        (200, format!("{fields}Vary: Accept\r\nX-Of: {}\r\n", request.header("accept").unwrap_or("none")))
    })
    .await;
    let edge = super::edge(&endpoint, "").await;
    let ask = async |accept: &str| {
        edge.send(&format!("GET / HTTP/1.1\r\nHost: example.com\r\nAccept: {accept}\r\n\r\n")).await
    };
    let is_of = |answer: &Response, accept: &str| answer.header("x-of") == Some(accept);
    gate.add_permits(3);
    for accept in ["a", "b", "c"] {
        assert!(did(&ask(accept).await).ends_with("stored"));
    }
    // Not the one that stands where requests look first.
    let old = ask("b").await;
    assert!(is_of(&old, "b") && did(&old).contains("ttl=-"), "{}", old.head);
    eventually("it is refreshed", async || endpoint.requests().len() == 4).await;
    assert_eq!(endpoint.last().header("accept"), Some("b"));
    gate.add_permits(1);
    eventually("it is fresh", async || {
        let answer = ask("b").await;
        assert!(is_of(&answer, "b"));
        !did(&answer).contains("ttl=-")
    })
    .await;
    for accept in ["a", "c"] {
        let answer = ask(accept).await;
        assert!(is_of(&answer, accept) && did(&answer).contains("ttl=-"), "{}", answer.head);
    }
    eventually("all are refreshed", async || endpoint.requests().len() == 6).await;
    gate.add_permits(2);
    for accept in ["a", "b", "c"] {
        eventually("it is fresh", async || {
            let answer = ask(accept).await;
            assert!(is_of(&answer, accept));
            !did(&answer).contains("ttl=-")
        })
        .await;
    }
    assert_eq!(endpoint.requests().len(), 6);
}

#[tokio::test]
async fn long_answers_in_files_are_refreshed_too() {
    const LONG: usize = 3 << 20;
    for is_same in [true, false] {
        let count = std::sync::atomic::AtomicUsize::new(0);
        let endpoint = Endpoint::with(move |request| {
            if request.path() != "/" {
                return format!("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n{FRESH}\r\na");
            }
            if is_same && request.header("if-none-match").is_some() {
                return format!("HTTP/1.1 304 Not Modified\r\n{FRESH}\r\n");
            }
            let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
            let fields = if number == 1 { OLD } else { FRESH };
            let body = number.to_string().repeat(LONG);
            format!("HTTP/1.1 200 OK\r\nContent-Length: {LONG}\r\nETag: \"a\"\r\n{fields}\r\n{body}")
        })
        .await;
        let folder = tempfile::tempdir().unwrap();
        let text = super::super::config(&[endpoint.address().to_string()], "");
        let disk = format!("max_object: 8MiB, disk: {{ path: '{}', size: 64MiB }}", folder.path().display());
        let edge = Edge::start(&text.replace("max_object: 256KiB", &disk)).await;
        let mut asked = 0;
        eventually("the folder is the edge's", async || {
            asked += 1;
            edge.get(&format!("/{asked}")).await;
            let shelves = std::fs::read_dir(folder.path().join("v1")).into_iter().flatten();
            shelves.flatten().any(|shelf| shelf.file_name() != "tmp" && shelf.path().is_dir())
        })
        .await;
        assert!(edge.get("/").await.body.starts_with(b"11"));
        let old = edge.get("/").await;
        assert!(old.body.len() == LONG && did(&old).starts_with("evener; hit; ttl=-"), "{}", did(&old));
        let expected = if is_same { b'1' } else { b'2' };
        eventually("it is fresh", async || {
            let answer = edge.get("/").await;
            assert!(answer.body.len() == LONG && did(&answer).starts_with("evener; hit"), "{}", did(&answer));
            let is_fresh = !did(&answer).contains("ttl=-");
            assert!(!is_fresh || answer.body.iter().all(|byte| *byte == expected));
            is_fresh
        })
        .await;
        let of_it = endpoint.requests().iter().filter(|request| request.path() == "/").count();
        assert_eq!(of_it, 2, "{is_same}");
    }
}

#[tokio::test]
async fn clients_of_http2_have_the_old_answer_at_once_too() {
    let (endpoint, gate) = old_then(FRESH).await;
    let edge = with_old(&endpoint, &gate, "").await;
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut streams = Vec::new();
    for _ in 0..20 {
        let request = http::Request::get("http://example.com/").header("cookie", "a=b").body(()).unwrap();
        let mut requests = requests.clone().ready().await.unwrap();
        streams.push(requests.send_request(request, true).unwrap().0);
    }
    for stream in streams {
        let answer = timeout(PATIENCE, stream).await.expect("is answered at once").unwrap();
        let status = answer.headers()["cache-status"].to_str().unwrap();
        assert!(status.starts_with("evener; hit; ttl=-"), "{status}");
    }
    eventually("it is refreshed", async || endpoint.requests().len() == 2).await;
    let refresh = endpoint.last();
    assert_eq!((refresh.header("via"), refresh.header("cookie")), (Some("2 evener"), None));
    assert_eq!((refresh.line(), refresh.header("host")), ("GET / HTTP/1.1", Some("example.com")));
    gate.add_permits(1);
    assert_eq!(until_fresh(&edge, "answer 2").await.text(), "answer 2");
    assert_eq!(endpoint.requests().len(), 2);
}
