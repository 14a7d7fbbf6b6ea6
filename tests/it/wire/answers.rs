//! What endpoints may say: nothing of theirs is taken for the answer to somebody else, or for whole when it is not.

use std::fmt::Write;
use std::sync::Arc;

use tokio::io::AsyncReadExt;
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::support::{Client, Edge, Endpoint, Exchange, PATIENCE, Response, eventually};

use super::{GET, site};

/// Answers `GET /odd` with this, and everything else with its path; keeps its connections.
async fn odd(answer: impl Into<String>) -> (Endpoint, Edge) {
    let answer = answer.into();
    let endpoint = Endpoint::with(move |request| match request.path() {
        "/odd" => answer.clone(),
        path => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{path}", path.len()),
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    (endpoint, edge)
}

async fn ask(client: &mut Client, path: &str) -> Response {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    client.response().await
}

#[tokio::test]
async fn a_head_that_can_be_read_in_two_ways_is_a_bad_gateway() {
    let heads = [
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: chunked, gzip",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding:",
        "Transfer-Encoding: \x0bchunked",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5, 6",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5 5",
        "Content-Length: 99999999999999999999999",
        "X: a\0b",
        "X: a\rb",
        "X y: z",
        ": no name",
        "no colon",
        "X\x01: y",
        "X: \x7f",
    ];
    for head in heads {
        let (_endpoint, edge) =
            odd(format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n5\r\nhello\r\n0\r\n\r\n")).await;
        let response = edge.get("/odd").await;
        assert_eq!(response.status, 502, "{head:?}: {}", response.head);
        let line = edge.log_of(1).await.remove(0);
        assert_eq!(line["cause"], "upstream_invalid", "{head:?}");
    }
}

#[tokio::test]
async fn a_status_line_that_is_none_is_a_bad_gateway() {
    let lines = [
        "HTTP/2.0 200 OK",
        "HTTP/1.2 200 OK",
        "HTTP/1.1 20 OK",
        "HTTP/1.1 2000 OK",
        "HTTP/1.1 -20 OK",
        "HTTP/1.1 099 OK",
        "HTTP/1.1  200 OK",
        "HTTP/1.1 200 O\0K",
        "http/1.1 200 OK",
        "HTTP 200 OK",
        "ICY 200 OK",
        " HTTP/1.1 200 OK",
    ];
    for line in lines {
        let (_endpoint, edge) = odd(format!("{line}\r\nContent-Length: 0\r\n\r\n")).await;
        assert_eq!(edge.get("/odd").await.status, 502, "{line:?}");
    }
}

#[tokio::test]
async fn what_is_odd_but_clear_reaches_clients_in_plain_form() {
    let cases = [
        ("X: a\r\n b\r\nContent-Length: 2\r\n\r\nok", "a b"),
        ("X: a\r\n\tHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "a HTTP/1.1 200 OK"),
        ("X : y\r\nContent-Length : 2\r\n\r\nok", "y"),
        ("X: y\nContent-Length: 2\n\nok", "y"),
        ("X: y\r\nContent-Length: 2, 2\r\n\r\nok", "y"),
        ("X: y\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nok", "y"),
        ("X: y\r\nTransfer-Encoding:\r\n chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "y"),
        ("X: y\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", "y"),
    ];
    for (head, x) in cases {
        let (_endpoint, edge) = odd(format!("HTTP/1.1 200 OK\r\n{head}")).await;
        let mut client = edge.connect().await;
        for _ in 0..3 {
            let response = ask(&mut client, "/odd").await;
            assert_eq!((response.text(), response.header("x")), ("ok", Some(x)), "{head:?}");
            assert_eq!(
                response.headers("content-length").len() + response.headers("transfer-encoding").len(),
                1
            );
            assert!(!response.head.replace("\r\n", "").contains(['\r', '\n', '\0']), "{}", response.head);
            assert_eq!(ask(&mut client, "/next").await.text(), "/next", "{head:?}");
        }
    }
}

#[tokio::test]
async fn what_follows_any_answer_is_nobodys_answer() {
    const POISON: &str = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let answers = [
        "200 OK\r\nContent-Length: 4\r\n\r\nmine",
        "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmine\r\n0\r\n\r\n",
        "200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nmine\r\n0\r\nX: y\r\n\r\n",
        "204 No Content\r\n\r\n",
        "304 Not Modified\r\nContent-Length: 4\r\n\r\n",
        "200 OK\r\nContent-Length: 0\r\n\r\n",
        "404 Not Found\r\nContent-Length: 4\r\n\r\nmine",
    ];
    for answer in answers {
        let (_endpoint, edge) = odd(format!("HTTP/1.1 {answer}{POISON}")).await;
        let mut client = edge.connect().await;
        for _ in 0..10 {
            assert!(["mine", ""].contains(&ask(&mut client, "/odd").await.text()), "{answer:?}");
            assert_eq!(ask(&mut client, "/next").await.text(), "/next", "{answer:?}");
            assert_eq!(edge.get("/other").await.text(), "/other", "{answer:?}");
        }
    }
}

#[tokio::test]
async fn what_an_endpoint_says_unasked_is_nobodys_answer() {
    let (go, may_speak) = tokio::sync::mpsc::channel(1);
    let (told, mut was_closed) = tokio::sync::mpsc::channel(1);
    let may_speak = Arc::new(Mutex::new(may_speak));
    let endpoint = Endpoint::scripted(move |mut exchange: Exchange| {
        let (may_speak, told) = (may_speak.clone(), told.clone());
        async move {
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine").await;
            if exchange.request.path() != "/odd" {
                return Some(exchange);
            }
            may_speak.lock().await.recv().await;
            exchange.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison").await;
            let mut rest = Vec::new();
            exchange.stream.read_to_end(&mut rest).await.ok();
            told.send(rest).await.unwrap();
            None
        }
    })
    .await;
    let edge = Edge::start(&site(endpoint.address(), "")).await;
    let mut client = edge.connect().await;
    for _ in 0..5 {
        assert_eq!(ask(&mut client, "/odd").await.text(), "mine");
        go.send(()).await.unwrap();
        let rest = timeout(PATIENCE, was_closed.recv()).await.expect("is closed in time").unwrap();
        assert!(rest.is_empty());
        assert_eq!(ask(&mut client, "/next").await.text(), "mine");
    }
}

#[tokio::test]
async fn answers_that_have_no_body_tell_of_none() {
    let framings = ["Content-Length: 4", "Transfer-Encoding: chunked"];
    for framing in framings {
        let (_endpoint, edge) = odd(format!(
            "HTTP/1.1 103 Early Hints\r\n{framing}\r\nConnection: X-Secret\r\nX-Secret: s\r\nLink: </a>\r\n\r\n\
             HTTP/1.1 204 No Content\r\n{framing}\r\n\r\n"
        ))
        .await;
        let mut client = edge.connect().await;
        let hints = ask(&mut client, "/odd").await;
        assert_eq!((hints.status, hints.header("link")), (103, Some("</a>")));
        let answer = client.response().await;
        assert_eq!(answer.status, 204);
        for name in ["content-length", "transfer-encoding", "x-secret"] {
            assert_eq!((hints.header(name), answer.header(name)), (None, None), "{name}");
        }
        assert_eq!(ask(&mut client, "/next").await.text(), "/next");
    }
}

#[tokio::test]
async fn endless_interim_answers_are_a_bad_gateway() {
    let (_endpoint, edge) = odd("HTTP/1.1 103 Early Hints\r\n\r\n".repeat(100)).await;
    let mut client = edge.connect().await;
    client.send("GET /odd HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut hints = 0;
    loop {
        match client.response().await.status {
            103 => hints += 1,
            status => break assert_eq!(status, 502),
        }
    }
    assert_eq!(hints, 16);
}

#[tokio::test]
async fn an_answer_cut_off_anywhere_never_looks_whole() {
    let length = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789";
    let chunks =
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n01234\r\n5\r\n56789\r\n0\r\nX: y\r\n\r\n";
    for whole in [length, chunks] {
        let endpoint = Endpoint::scripted(move |mut exchange: Exchange| async move {
            let at: usize = exchange.request.path()[1..].parse().unwrap();
            exchange.send(&whole[..at]).await;
            None
        })
        .await;
        let edge = Edge::start(&site(endpoint.address(), "")).await;
        for at in 0..=whole.len() {
            let mut client = edge.connect().await;
            client.send(format!("GET /{at} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
            let head = client.head().await;
            if at < whole.find("\r\n\r\n").unwrap() + 4 {
                assert!(head.starts_with("HTTP/1.1 502"), "{at}: {head}");
                continue;
            }
            assert!(head.starts_with("HTTP/1.1 200"), "{at}: {head}");
            let mut seen = String::new();
            if at == whole.len() {
                let end = if whole == length { "9" } else { "0\r\n\r\n" };
                seen.push_str(std::str::from_utf8(&client.until(end.as_bytes()).await).unwrap());
            } else {
                seen.push_str(std::str::from_utf8(&client.rest().await).unwrap());
                let is_whole = if whole == length { seen.len() >= 10 } else { seen.ends_with("0\r\n\r\n") };
                assert!(!is_whole, "{at}: {seen:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_head_beyond_all_measure_is_a_bad_gateway() {
    let mut fields = String::new();
    for number in 0..1000 {
        write!(fields, "X-{number}: y\r\n").unwrap();
    }
    let large = format!("X: {}\r\n", "y".repeat(2 * 1024 * 1024));
    for fields in [fields, large] {
        let (endpoint, edge) = odd(format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 0\r\n\r\n")).await;
        assert_eq!(edge.get("/odd").await.status, 502);
        eventually("the endpoint is asked", async || endpoint.requests().len() == 1).await;
        assert_eq!(edge.send(GET).await.status, 200);
    }
}
