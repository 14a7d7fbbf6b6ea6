use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::support::{Edge, Endpoint, H2Endpoint, PATIENCE, Response};

use super::filtered;

/// A page that is worth it.
fn page() -> String {
    "<p>The same again, and again, and once more.</p>\n".repeat(400)
}

/// An endpoint whose page has these fields too.
async fn page_with(fields: &'static str) -> Endpoint {
    Endpoint::with(move |request| {
        let body = page();
        let sent = if request.line().starts_with("HEAD ") { "" } else { &body };
        if request.header("if-none-match").is_some_and(|known| known.contains("\"page\"")) {
            return format!("HTTP/1.1 304 Not Modified\r\nETag: \"page\"\r\n{fields}\r\n");
        }
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: \"page\"\r\nAccept-Ranges: bytes\r\nContent-Length: {}\r\n{fields}\r\n{sent}",
            body.len()
        )
    })
    .await
}

async fn ask(edge: &Edge, method: &str, fields: &str) -> Response {
    edge.send(&format!("{method} /page HTTP/1.1\r\nHost: example.com\r\n{fields}\r\n")).await
}

fn decoded(coding: &str, body: &[u8]) -> String {
    let mut text = String::new();
    match coding {
        "gzip" => flate2::read::GzDecoder::new(body).read_to_string(&mut text),
        "br" => brotli::Decompressor::new(body, 4096).read_to_string(&mut text),
        "zstd" => zstd::stream::read::Decoder::new(body).unwrap().read_to_string(&mut text),
        _ => panic!("{coding}"),
    }
    .unwrap();
    text
}

#[tokio::test]
async fn each_client_gets_what_it_takes_best() {
    let endpoint = page_with("").await;
    let edge = Edge::start(&filtered(endpoint.address(), "{ compress: {} }")).await;
    for (accepted, coding) in [
        ("gzip", "gzip"),
        ("GZIP;q=0.5, br;q=0.6", "br"),
        ("gzip, deflate, br, zstd", "zstd"),
        ("*", "zstd"),
        ("zstd;q=0, *;q=0.5", "br"),
    ] {
        let response = ask(&edge, "GET", &format!("Accept-Encoding: {accepted}\r\n")).await;
        assert_eq!((response.status, response.header("content-encoding")), (200, Some(coding)), "{accepted}");
        assert_eq!(response.header("transfer-encoding"), Some("chunked"));
        assert_eq!(
            (response.header("etag"), response.header("vary")),
            (Some(format!("W/\"page--{coding}\"").as_str()), Some("Accept-Encoding"))
        );
        assert!(response.header("content-length").is_none() && response.header("accept-ranges").is_none());
        assert!(response.body.len() < 1000, "{} bytes", response.body.len());
        assert_eq!(decoded(coding, &response.body), page());
    }
    for accepted in ["identity", "gzip;q=0", "deflate", ""] {
        let response = ask(&edge, "GET", &format!("Accept-Encoding: {accepted}\r\n")).await;
        assert_eq!(
            (response.header("content-encoding"), response.text()),
            (None, page().as_str()),
            "{accepted}"
        );
        assert_eq!(
            (response.header("etag"), response.header("vary")),
            (Some("\"page\""), Some("Accept-Encoding"))
        );
    }
    let head = ask(&edge, "HEAD", "Accept-Encoding: gzip\r\n").await;
    assert_eq!((head.header("content-encoding"), head.header("content-length")), (Some("gzip"), None));
    assert_eq!(head.header("vary"), Some("Accept-Encoding"));
    let known = ask(&edge, "GET", "Accept-Encoding: gzip\r\nIf-None-Match: W/\"page--gzip\"\r\n").await;
    assert_eq!((known.status, known.header("etag")), (304, Some("W/\"page--gzip\"")));
    assert_eq!((known.header("content-encoding"), known.header("vary")), (None, Some("Accept-Encoding")));
    assert_eq!(endpoint.last().header("if-none-match"), Some("\"page\""));
    ask(&edge, "PUT", "Content-Length: 0\r\nIf-Match: W/\"page--br\"\r\n").await;
    assert_eq!(endpoint.last().header("if-match"), Some("\"page\""));
}

#[tokio::test]
async fn nothing_is_coded_twice_or_against_the_endpoints_word() {
    for (fields, is_told) in [
        ("Content-Encoding: gzip\r\n", Some("gzip")),
        ("Cache-Control: no-transform\r\n", None),
        ("Content-Range: bytes 0-9/10\r\n", None),
    ] {
        let endpoint = page_with(fields).await;
        let edge = Edge::start(&filtered(endpoint.address(), "{ compress: {} }")).await;
        let response = ask(&edge, "GET", "Accept-Encoding: br, gzip\r\n").await;
        assert_eq!(
            (response.header("content-encoding"), response.text()),
            (is_told, page().as_str()),
            "{fields}"
        );
        assert_eq!(response.header("etag"), Some("\"page\""));
    }
}

#[tokio::test]
async fn events_are_not_held_back() {
    let steps = Arc::new(Semaphore::new(0));
    let told = steps.clone();
    let endpoint = Endpoint::scripted(move |mut exchange| {
        let steps = told.clone();
        async move {
            exchange
                .send("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
                .await;
            for event in ["one", "two"] {
                let event = format!("data: {event}\n\n");
                exchange.send(format!("{:x}\r\n{event}\r\n", event.len())).await;
                steps.acquire().await.unwrap().forget();
            }
            exchange.send("0\r\n\r\n").await;
            Some(exchange)
        }
    })
    .await;
    let edge = Edge::start(&filtered(endpoint.address(), "{ compress: {} }")).await;
    for coding in ["gzip", "br", "zstd"] {
        let mut client = edge.connect().await;
        client.send(format!("GET / HTTP/1.1\r\nHost: a\r\nAccept-Encoding: {coding}\r\n\r\n")).await;
        assert!(client.head().await.to_ascii_lowercase().contains(&format!("content-encoding: {coding}")));
        // The endpoint goes on only when the client has read what it has sent.
        let mut coded = Vec::new();
        for expected in ["data: one\n\n", "data: one\n\ndata: two\n\n"] {
            while begun(coding, &coded) != expected {
                let size = client.until(b"\r\n").await;
                let size = usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim(), 16).unwrap();
                assert!(size > 0, "{coding}: ended within the events");
                coded.extend(client.exactly(size).await);
                client.exactly(2).await;
            }
            steps.add_permits(1);
        }
    }
}

/// What can be read of a body that has not ended.
fn begun(coding: &str, body: &[u8]) -> String {
    let mut reader: Box<dyn Read + '_> = match coding {
        "gzip" => Box::new(flate2::read::GzDecoder::new(body)),
        "br" => Box::new(brotli::Decompressor::new(body, 4096)),
        _ => Box::new(zstd::stream::read::Decoder::new(body).unwrap()),
    };
    let (mut text, mut byte) = (Vec::new(), [0]);
    while let Ok(1) = reader.read(&mut byte) {
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn an_old_client_is_told_the_end_by_the_end_of_its_connection() {
    let endpoint = page_with("").await;
    let edge = Edge::start(&filtered(endpoint.address(), "{ compress: {} }")).await;
    let response =
        edge.send("GET / HTTP/1.0\r\nAccept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n").await;
    assert_eq!(
        (response.header("content-encoding"), response.header("transfer-encoding")),
        (Some("gzip"), None)
    );
    assert_eq!(decoded("gzip", &response.body), page());
}

#[tokio::test]
async fn clients_of_http2_get_it_too() {
    let endpoint = page_with("").await;
    let edge = Edge::start(&filtered(endpoint.address(), "{ compress: {} }")).await;
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::get("http://example.com/page").header("accept-encoding", "br");
    let (response, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
    let response = timeout(PATIENCE, response).await.expect("is answered in time").unwrap();
    assert_eq!(response.headers()["content-encoding"], "br");
    assert!(!response.headers().contains_key("transfer-encoding"));
    let mut stream = response.into_body();
    let mut body = Vec::<Bytes>::new();
    while let Some(piece) = timeout(PATIENCE, stream.data()).await.expect("goes on in time") {
        body.push(piece.unwrap());
    }
    assert_eq!(decoded("br", &body.concat()), page());
}

#[tokio::test]
async fn a_stored_answer_is_coded_for_whoever_asks() {
    let endpoint = page_with("Cache-Control: max-age=600\r\n").await;
    let config = filtered(endpoint.address(), "{ compress: {} }, { cache: { in: main } }");
    let edge = Edge::start(&format!("server: {{ caches: {{ main: {{ memory: 8MiB }} }} }}\n{config}")).await;
    for (accepted, coding) in [("gzip", "gzip"), ("br", "br"), ("zstd", "zstd"), ("gzip", "gzip")] {
        let response = ask(&edge, "GET", &format!("Accept-Encoding: {accepted}\r\n")).await;
        assert_eq!(decoded(coding, &response.body), page());
        assert_eq!(response.header("etag"), Some(format!("W/\"page--{coding}\"").as_str()));
    }
    assert_eq!(ask(&edge, "GET", "").await.text(), page());
    let known = ask(&edge, "GET", "Accept-Encoding: gzip\r\nIf-None-Match: W/\"page--gzip\"\r\n").await;
    assert_eq!((known.status, known.header("etag")), (304, Some("W/\"page--gzip\"")));
    assert_eq!(known.header("vary"), Some("Accept-Encoding"));
    // A part is one of the plain page.
    let part = ask(&edge, "GET", "Accept-Encoding: gzip\r\nRange: bytes=3-10\r\n").await;
    assert_eq!((part.status, part.header("content-encoding"), part.text()), (206, None, "The same"));
    assert_eq!(part.header("etag"), Some("\"page\""));
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn answers_of_the_edge_are_coded_too() {
    let folder = tempfile::tempdir().unwrap();
    // Longer than what is read at once, and what filters see at once.
    let text = page().repeat(20);
    std::fs::write(folder.path().join("page.html"), &text).unwrap();
    std::fs::write(folder.path().join("short.txt"), "short").unwrap();
    let body = page().replace('\n', "");
    let config = format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\nroutes:\n\
         - {{ match: {{ path: /files/ }}, filters: [{{ compress: {{}} }}, {{ rewrite: {{ strip_prefix: /files }} }}], files: {{ root: '{}' }} }}\n\
         - {{ match: {{ path: /respond }}, filters: [{{ compress: {{}} }}], respond: {{ body: '{body}', headers: {{ Content-Type: text/html }} }} }}\n\
         - {{ match: {{ path: /error }}, filters: [{{ compress: {{ min_size: 1B }} }}, {{ deny: ['0.0.0.0/0'] }}], respond: {{}} }}\n",
        folder.path().display()
    );
    let edge = Edge::start(&config).await;
    let get = async |path: &str| {
        edge.send(&format!(
            "GET {path} HTTP/1.1\r\nHost: a\r\nAccept: application/json\r\nAccept-Encoding: gzip\r\n\r\n"
        ))
        .await
    };
    let response = get("/files/page.html").await;
    assert_eq!((response.status, response.header("content-encoding")), (200, Some("gzip")));
    assert!(response.header("etag").unwrap().starts_with("W/\""));
    assert_eq!(decoded("gzip", &response.body), text);
    let known = response.header("etag").unwrap();
    let again = edge
        .send(&format!("GET /files/page.html HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\nIf-None-Match: {known}\r\n\r\n"))
        .await;
    assert_eq!((again.status, again.header("etag")), (304, Some(known)));
    assert_eq!(get("/files/short.txt").await.text(), "short");
    let response = get("/respond").await;
    assert_eq!((response.status, decoded("gzip", &response.body)), (200, body));
    assert_eq!(response.header("content-length"), Some(response.body.len().to_string().as_str()));
    let response = get("/error").await;
    assert_eq!((response.status, response.header("content-encoding")), (403, Some("gzip")));
    assert!(decoded("gzip", &response.body).contains("client_refused"));
}

#[tokio::test]
async fn an_answer_over_http2_ends_whole_also_where_trailers_follow() {
    let endpoint = H2Endpoint::scripted(|mut exchange| async move {
        let response = http::Response::builder().header("content-type", "text/plain").body(()).unwrap();
        let is_announced = exchange.path() == "/announced";
        let mut response = response;
        if is_announced {
            response.headers_mut().insert("trailer", "x-sum".parse().unwrap());
        }
        let Some(mut stream) = exchange.begin(response, false) else { return };
        stream.send_data(page().into(), exchange.path() == "/plain").unwrap();
        if exchange.path() != "/plain" {
            let digest = ("content-digest".parse().unwrap(), "sha-256=:x:".parse().unwrap());
            let sum = ("x-sum".parse().unwrap(), "7".parse().unwrap());
            stream.send_trailers(http::HeaderMap::from_iter([digest, sum])).unwrap();
        }
    })
    .await;
    let config =
        filtered(endpoint.address(), "{ compress: {} }").replace("endpoints:", "protocol: h2c, endpoints:");
    let edge = Edge::start(&config).await;
    for path in ["/plain", "/silent"] {
        let response =
            edge.send(&format!("GET {path} HTTP/1.1\r\nHost: a\r\nAccept-Encoding: gzip\r\n\r\n")).await;
        assert_eq!(response.header("content-encoding"), Some("gzip"), "{path}");
        assert_eq!(decoded("gzip", &response.body), page(), "{path}");
    }
    for path in ["/silent", "/announced"] {
        let mut client = edge.connect().await;
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: TE\r\nAccept-Encoding: gzip\r\n\r\n"))
            .await;
        assert!(client.head().await.to_ascii_lowercase().contains("content-encoding: gzip"));
        let mut coded = Vec::new();
        loop {
            let size = client.until(b"\r\n").await;
            let size = usize::from_str_radix(std::str::from_utf8(&size).unwrap().trim(), 16).unwrap();
            if size == 0 {
                break;
            }
            coded.extend(client.exactly(size).await);
            client.exactly(2).await;
        }
        assert_eq!(decoded("gzip", &coded), page(), "{path}");
        // The digest of the bytes that came is none of those that go.
        assert_eq!(client.until(b"\r\n\r\n").await, b"x-sum: 7\r\n\r\n", "{path}");
        let stream = TcpStream::connect(edge.address()).await.unwrap();
        let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let request = http::Request::get(format!("http://a{path}")).header("accept-encoding", "br");
        let (response, _) = requests.send_request(request.body(()).unwrap(), true).unwrap();
        let mut stream = timeout(PATIENCE, response).await.expect("is answered").unwrap().into_body();
        let mut body = Vec::new();
        while let Some(piece) = timeout(PATIENCE, stream.data()).await.expect("goes on in time") {
            body.extend(piece.unwrap());
        }
        assert_eq!(decoded("br", &body), page());
        let trailers = timeout(PATIENCE, stream.trailers()).await.expect("ends").unwrap().unwrap();
        assert_eq!((trailers.len(), &trailers["x-sum"]), (1, &"7".parse().unwrap()));
    }
}
