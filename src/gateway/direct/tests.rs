use pingora_core::protocols::http::ServerSession;
use tokio::io::AsyncWriteExt;

use super::head::{adopt, parse};
use super::*;

fn head(text: &str) -> Bytes {
    Bytes::from(text.to_owned())
}

/// What Pingora makes of the same bytes.
async fn pingoras(text: &str) -> RequestHeader {
    let (mut client, server) = tokio::io::duplex(4096);
    client.write_all(text.as_bytes()).await.unwrap();
    let mut session = ServerSession::new_http1(Box::new(server));
    assert!(session.read_request().await.unwrap());
    session.req_header().clone()
}

#[tokio::test]
async fn a_head_is_read_as_pingora_reads_it() {
    let heads = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "HEAD /a%20b?c=%2F&d HTTP/1.1\r\nhost: a.example:8080\r\nX-Twice: 1\r\nx-twice:2\r\nEmpty:\r\n\r\n",
        "GET /\u{e9} HTTP/1.1\r\nHOST:\ta \r\nX-Text:  \u{e9} and \"more\" \t\r\n\r\n",
    ];
    for text in heads {
        let (own, pingoras) = (parse(&head(text)).expect(text), pingoras(text).await);
        assert_eq!(own.raw_path(), pingoras.raw_path(), "{text}");
        assert_eq!(own.uri, pingoras.uri, "{text}");
        assert_eq!((own.method.clone(), own.version), (pingoras.method.clone(), pingoras.version), "{text}");
        assert_eq!(own.headers, pingoras.headers, "{text}");
    }
}

#[tokio::test]
async fn what_goes_on_is_what_was_admitted_in_the_words_of_its_client() {
    let text = "GET /a HTTP/1.1\r\nHost: a\r\nX-Kept: 1\r\nX-Kept: 2\r\nX-Gone: 1\r\nX-Other: 1\r\nX-Less: 1\r\nx-Less: 2\r\n\r\n";
    let mut admitted = parse(&head(text)).unwrap();
    admitted.set_uri("/b?c".parse().unwrap());
    admitted.remove_header("x-gone");
    for (name, value) in [("x-other", "2"), ("x-new", "1"), ("x-less", "1")] {
        admitted.insert_header(name, value).unwrap();
    }
    admitted.append_header("x-new", "2").unwrap();
    let mut request = pingoras(text).await;
    adopt(&mut request, &admitted).unwrap();
    assert_eq!((request.raw_path(), &request.uri), (&b"/b?c"[..], &admitted.uri));
    assert_eq!(request.headers, admitted.headers);
    let mut lines = Vec::new();
    request.header_to_h1_wire(&mut lines);
    let lines = String::from_utf8(lines).unwrap();
    let mut lines: Vec<_> = lines.lines().collect();
    lines.sort_unstable();
    let expected = ["Host: a", "X-Kept: 1", "X-Kept: 2", "x-less: 1", "x-new: 1", "x-new: 2", "x-other: 2"];
    assert_eq!(lines, expected, "what nobody has touched keeps its case");
}

#[test]
fn other_forms_and_versions_are_pingoras_to_read() {
    for line in ["OPTIONS * HTTP/1.1", "GET http://a/ HTTP/1.1", "GET / HTTP/1.0"] {
        assert!(parse(&head(&format!("{line}\r\nHost: a\r\n\r\n"))).is_none(), "{line}");
    }
}

#[test]
fn a_client_may_ask_for_the_end_of_its_connection_and_for_nothing_else() {
    let options = |fields: &str| {
        let head = head(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"));
        Options::of(&parse(&head).expect(fields).headers)
    };
    assert_eq!(options(""), Some(Options::KeepAlive));
    assert_eq!(options("Connection: Keep-Alive\r\n"), Some(Options::KeepAlive));
    assert_eq!(options("connection: close\r\n"), Some(Options::Close));
    for fields in [
        "Connection: close\r\nConnection: close\r\n",
        "Connection: close, X-A\r\n",
        "Connection: upgrade\r\nUpgrade: websocket\r\n",
        "Upgrade: h2c\r\n",
        "Expect: 100-continue\r\n",
    ] {
        assert_eq!(options(fields), None, "{fields}");
    }
}
