use super::{echo_site, refused};

/// What an attacker hopes that the endpoint takes for a request of its own.
const HIDDEN: &str = "GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn no_trick_with_the_framing_reaches_an_endpoint() {
    let (endpoint, edge) = echo_site("").await;
    let tricks = [
        "Content-Length: 5\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked\r\nContent-Length: 5",
        "Content-Length: 5\r\nContent-Length: 6",
        "Content-Length: 5\r\nContent-Length: 5",
        "Content-Length: 5, 5",
        "Content-Length: 5 5",
        "Content-Length: +5",
        "Content-Length: -5",
        "Content-Length: 0x5",
        "Content-Length: 5.0",
        "Content-Length:",
        "Content-Length : 5",
        "Content-Length\r\n : 5",
        "Transfer-Encoding: xchunked",
        "Transfer-Encoding: chunked, identity",
        "Transfer-Encoding: identity",
        "Transfer-Encoding: gzip, chunked",
        "Transfer-Encoding: \"chunked\"",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
        "Transfer-Encoding: \x0bchunked",
        "Transfer-Encoding: \x0cchunked",
        "Transfer-Encoding: chunked\x0b",
        "Transfer-Encoding: \u{a0}chunked",
        "Transfer-Encoding: chunked,",
        "Transfer-Encoding: ,chunked",
        "Transfer-Encoding: chunked, chunked",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        "Transfer-Encoding: chunked;q=1",
        "Transfer-Encoding: chunked=1",
        "Transfer-Encoding: chun ked",
        "Transfer-Encoding: chunk",
        "Transfer-Encoding: 'chunked'",
        "Transfer-Encoding: x chunked",
        "Transfer-Encoding:",
        "Transfer-Encoding: identity\r\nContent-Length: 5",
        "Transfer-Encoding: chunked\r\n\tx",
        "Transfer-Encoding\x0b: chunked",
        "\tTransfer-Encoding: chunked",
        "X: y\r\rTransfer-Encoding: chunked",
        "X: y\r\r\nContent-Length: 5",
        "X: \x1b[31m",
        "X: \x7f",
        "Content-Length: 5\0",
        "Content-Length: 5;",
        "Content-Length: 5,",
        "Content-Length: 05, 5",
        "Content-Length: 5\r\n 0",
        "Content-Length: 5e0",
        "Content-Length: \"5\"",
        "Content-Length: 9223372036854775808",
        "Content-Length: 18446744073709551621",
        "Transfer-Encoding:\r\n chunked",
        "Transfer-Encoding : chunked",
        "Transfer-Encoding\t: chunked",
        " Transfer-Encoding: chunked",
        "X: y\nTransfer-Encoding: chunked",
        "X: y\rTransfer-Encoding: chunked",
        "X: y\0\r\nContent-Length: 5",
        "X: y\r\n\tfolded",
        "X y: z",
        "no colon",
        ": no name",
        "X\u{e9}: y",
    ];
    for trick in tricks {
        let text = format!("POST /first HTTP/1.1\r\nHost: a\r\n{trick}\r\n\r\n0\r\n\r\n{HIDDEN}");
        assert_eq!(refused(&edge, text).await.status, 400, "{trick:?}");
    }
    assert!(endpoint.requests().is_empty());
    let lines = edge.log_of(tricks.len()).await;
    assert!(lines.iter().all(|line| line["status"] == 400 && line["cause"] == "bad_request"));
}

#[tokio::test]
async fn no_trick_with_the_lines_reaches_an_endpoint() {
    let (endpoint, edge) = echo_site("").await;
    let texts = [
        "GET / HTTP/1.1\nHost: a\n\n",
        "GET / HTTP/1.1\r\nHost: a\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\n",
        "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        "GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\0\r\n\r\n",
        "G\"T / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        "GET / HTTP/01.1\r\nHost: a\r\n\r\n",
        "GET / http/1.1\r\nHost: a\r\n\r\n",
        "\rGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\r HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\rHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\r\n",
        "GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /\x0bHTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.1 GET /hidden HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /\r\nHost: a\r\n\r\n",
        "GET /\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\r\n\r\n",
    ];
    for text in texts {
        assert_eq!(refused(&edge, format!("{text}{HIDDEN}")).await.status, 400, "{text:?}");
    }
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn no_trick_with_chunks_reaches_an_endpoint() {
    let (endpoint, edge) = echo_site("").await;
    let bodies = [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "-5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "\r\n5\r\nhello\r\n0\r\n\r\n",
        "g\r\nhello\r\n0\r\n\r\n",
        ";x\r\nhello\r\n0\r\n\r\n",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        "5;a\rb\r\nhello\r\n0\r\n\r\n",
        "5;a\0b\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello\r\n0\r\n folded: x\r\n\r\n",
        "5\r\nhello\r\n0\r\nA: b\n\r\n",
        "0\r\n\n",
        "5\rhello\r\n0\r\n\r\n",
        "5\r\nhello\r0\r\n\r\n",
        "5\r\nhello\r\r\n0\r\n\r\n",
        "5\r\nhello\r\n\r\n0\r\n\r\n",
        "5\r\nhello\r\n-0\r\n\r\n",
        "5\t\r\nhello\r\n0\r\n\r\n",
        "5_\r\nhello\r\n0\r\n\r\n",
        "0000000000000005\r\nhello\r\n0\r\n\r\n",
        "7fffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "8000000000000000\r\nhello\r\n0\r\n\r\n",
        "ffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        "10000000000000005\r\nhello\r\n0\r\n\r\n",
        "0\r\n\r\r\n",
        "0\r\nA: b\rX: y\r\n\r\n",
        "0\r\nA: \0\r\n\r\n",
        "0\r\nA : b\r\n\r\n",
        "0\r\n: b\r\n\r\n",
        "0\r\nno colon\r\n\r\n",
        "0\r\nGET /hidden HTTP/1.1\r\n\r\n",
    ];
    for body in bodies {
        let head = "POST /first HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(refused(&edge, format!("{head}{body}{HIDDEN}")).await.status, 400, "{body:?}");
    }
    assert!(endpoint.requests().is_empty());
    let lines = edge.log_of(bodies.len()).await;
    assert!(lines.iter().all(|line| line["status"] == 400 && line["cause"] == "bad_request"), "{lines:#?}");
}

#[tokio::test]
async fn extensions_and_trailers_are_bounded() {
    let (endpoint, edge) = echo_site("").await;
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let extension = format!("{head}5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(20_000));
    assert_eq!(refused(&edge, extension).await.status, 400);
    let trailers = format!("{head}0\r\n{}\r\n", "X-Trailer: y\r\n".repeat(2000));
    assert_eq!(refused(&edge, trailers).await.status, 400);
    assert!(endpoint.requests().is_empty());
}

#[tokio::test]
async fn plain_spellings_of_the_framing_are_understood() {
    let (endpoint, edge) = echo_site("").await;
    let fields = [
        "Transfer-Encoding: chunked",
        "Transfer-Encoding:chunked",
        "Transfer-Encoding:\tchunked\t ",
        "TRANSFER-encoding: ChUnKeD",
        "Content-Length: 15",
        "content-length:\t 015 ",
    ];
    for field in fields {
        let mut client = edge.connect().await;
        let second = "GET /second HTTP/1.1\r\nHost: a\r\n\r\n";
        client
            .send(format!("POST /1 HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n5\r\nhello\r\n0\r\n\r\n{second}"))
            .await;
        assert_eq!(client.response().await.text(), "/1", "{field:?}");
        assert_eq!(client.response().await.text(), "/second", "{field:?}");
    }
    assert_eq!(endpoint.requests().len(), 2 * fields.len());
}

#[tokio::test]
async fn trailers_of_clients_reach_nobody() {
    let (endpoint, edge) = echo_site("").await;
    let mut client = edge.connect().await;
    let trailers =
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: evil\r\nAuthorization: x\r\nX-Sum: y\r\n";
    for _ in 0..3 {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: X-Sum\r\n";
        client.send(format!("{head}\r\n2\r\nhi\r\n0\r\n{trailers}\r\n")).await;
        assert_eq!(client.response().await.status, 200);
        let request = endpoint.last();
        assert_eq!((request.body.as_slice(), request.headers("host")), (b"hi".as_slice(), vec!["a"]));
        for name in ["trailer", "authorization", "x-sum", "content-length"] {
            assert_eq!(request.header(name), None, "{name}");
        }
    }
}
