use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::support::{Client, Edge, Endpoint};

use super::GET;

fn bound_to(bind: &str, endpoint: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: \"{bind}\" }} }}\n\
         pools: {{ app: {{ endpoints: [\"{endpoint}\"] }} }}\n\
         routes: [{{ pool: app }}]\n\
         log: {{ access: {{ format: json, to: LOG }} }}"
    )
}

#[tokio::test]
async fn a_listener_speaks_ipv6() {
    let endpoint = Endpoint::answering("six").await;
    let edge = Edge::start(&bound_to("[::1]:0", &endpoint.address().to_string())).await;
    assert_eq!(edge.send(GET).await.text(), "six");
    assert_eq!(endpoint.last().header("x-forwarded-for"), Some("::1"));
    assert_eq!(edge.log_of(1).await[0]["client"], "::1");
}

#[tokio::test]
async fn a_listener_is_a_unix_socket() {
    let endpoint = Endpoint::answering("local").await;
    let edge = Edge::start(&bound_to("unix:DIR/edge.sock", &endpoint.address().to_string())).await;
    for _ in 0..2 {
        let mut client = Client::over(UnixStream::connect(edge.folder().join("edge.sock")).await.unwrap());
        for _ in 0..2 {
            client.send(GET).await;
            assert_eq!(client.response().await.text(), "local");
        }
    }
    assert_eq!(endpoint.requests().len(), 4);
}

#[tokio::test]
async fn an_endpoint_is_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let serving = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut seen = Vec::new();
        while !seen.ends_with(b"\r\n\r\n") {
            assert!(stream.read_buf(&mut seen).await.unwrap() > 0);
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nunix").await.unwrap();
        String::from_utf8(seen).unwrap()
    });
    let edge = Edge::start(&bound_to("127.0.0.1:0", &format!("unix:{}", path.display()))).await;
    assert_eq!(edge.send("GET / HTTP/1.0\r\n\r\n").await.text(), "unix");
    let seen = serving.await.unwrap().to_ascii_lowercase();
    assert!(seen.contains("host: localhost\r\n"), "{seen}");
    assert_eq!(edge.log_of(1).await[0]["endpoint"], format!("unix:{}", path.display()));
}
