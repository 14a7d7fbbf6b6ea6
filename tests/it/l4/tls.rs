use std::sync::Arc;

use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::client::TlsStream;

use crate::support::{Ca, Client, Edge};

use super::sni::by_name;
use super::streams::{Pattern, exchange, next, rest_of};
use super::{Ended, Keys, Server, edge, end_of};

/// Names with certificates, and who has signed them.
struct Site {
    ca: Ca,
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let (ca, folder) = (Ca::new("site"), tempfile::tempdir().unwrap());
        ca.issue(&["db.example", "a.example", "b.example"]).write(folder.path(), "site");
        Self { ca, folder }
    }

    /// What makes a listener end TLS, with further keys.
    fn tls(&self, more: &str) -> String {
        let path = self.folder.path().join("site");
        let certificate = format!("{{ cert: {0}.pem, key: {0}.key }}", path.display());
        format!("tls: {{ certificates: [{certificate}], {more} }},")
    }

    async fn client(&self, edge: &Edge, name: &str) -> Client<TlsStream<TcpStream>> {
        Client::secure(edge.address(), name, &Arc::new(self.ca.client(&[]))).await.unwrap()
    }

    /// A client's connection and the one to the endpoint that it is passed on to.
    async fn joined(&self) -> (Edge, Client<TlsStream<TcpStream>>, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let edge = edge(Keys::of_listener(&self.tls("")), &[&listener.local_addr().unwrap()]).await;
        let client = self.client(&edge, "db.example").await;
        let endpoint = next(&listener).await;
        (edge, client, endpoint)
    }
}

#[tokio::test]
async fn what_is_in_it_passes_whole() {
    let (edge, client, endpoint) = Site::new().joined().await;
    let (question, answer) = (Pattern::new(1), Pattern::new(2));
    const TOTAL: usize = 4 * 1024 * 1024 + 7;
    tokio::join!(
        exchange(client.into_parts().0, &question, &answer, TOTAL),
        exchange(endpoint, &answer, &question, TOTAL)
    );
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&TOTAL.into(), &TOTAL.into()));
    assert_eq!((&line["ended"], &line["sni"]), (&"finished".into(), &"db.example".into()));
}

#[tokio::test]
async fn a_client_that_has_said_all_still_gets_its_answer() {
    let (_edge, mut client, mut endpoint) = Site::new().joined().await;
    client.send("question").await;
    client.half_close().await;
    assert_eq!(rest_of(&mut endpoint).await, (b"question".to_vec(), Ended::Cleanly));
    endpoint.write_all(b"answer").await.unwrap();
    assert_eq!(client.exactly(6).await, b"answer");
    drop(endpoint);
    // Without an alert that says so this would be an error.
    assert_eq!(end_of(client).await, (Vec::new(), Ended::Cleanly));
}

#[tokio::test]
async fn an_endpoint_that_has_said_all_still_hears_its_client() {
    let (_edge, client, mut endpoint) = Site::new().joined().await;
    endpoint.write_all(b"greeting").await.unwrap();
    endpoint.shutdown().await.unwrap();
    let (mut stream, _) = client.into_parts();
    assert_eq!(rest_of(&mut stream).await, (b"greeting".to_vec(), Ended::Cleanly));
    stream.write_all(b"more").await.unwrap();
    stream.shutdown().await.unwrap();
    assert_eq!(rest_of(&mut endpoint).await, (b"more".to_vec(), Ended::Cleanly));
}

#[tokio::test]
async fn a_stream_that_is_cut_short_looks_so_at_the_endpoint() {
    let (edge, client, mut endpoint) = Site::new().joined().await;
    let (mut below, _) = client.into_parts().0.into_inner();
    below.shutdown().await.unwrap();
    assert_eq!(rest_of(&mut endpoint).await, (Vec::new(), Ended::Reset));
    assert_eq!(edge.log_of(1).await[0]["ended"], "reset");
}

#[tokio::test]
async fn a_reset_of_the_endpoint_is_no_clean_end_for_the_client() {
    let (_edge, mut client, mut endpoint) = Site::new().joined().await;
    endpoint.write_all(b"some").await.unwrap();
    assert_eq!(client.exactly(4).await, b"some");
    endpoint.set_zero_linger().unwrap();
    drop(endpoint);
    assert_eq!(end_of(client).await, (Vec::new(), Ended::Reset));
}

#[tokio::test]
async fn a_failed_handshake_reaches_no_endpoint() {
    let (site, server) = (Site::new(), Server::named(b's').await);
    let edge = edge(Keys::of_listener(&site.tls("")), &[&server.address()]).await;
    let mut plain = edge.connect().await;
    plain.send("SELECT 1;\n".repeat(100)).await;
    // There may be an alert before the end.
    super::streams::drain(&mut plain.into_parts().0).await;
    let strangers = Arc::new(Ca::new("stranger").client(&[]));
    assert!(Client::secure(edge.address(), "db.example", &strangers).await.is_err());
    let silent = edge.connect().await;
    drop(silent);
    let mut client = site.client(&edge, "db.example").await;
    assert_eq!(client.exactly(1).await, b"s");
    assert_eq!(server.accepted(), 1);
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_is_cut_off() {
    let (site, server) = (Site::new(), Server::named(b's').await);
    let listener = format!("{} limits: {{ handshake: 300ms }},", site.tls(""));
    let edge = edge(Keys::of_listener(&listener), &[&server.address()]).await;
    let (silent, mut halting) = (edge.connect().await, edge.connect().await);
    halting.send(b"\x16\x03\x01\x02").await;
    for client in [silent, halting] {
        assert_eq!(end_of(client).await.0, b"");
    }
    assert_eq!(server.accepted(), 0);
}

#[tokio::test]
async fn clients_have_to_show_certificates_where_they_are_required() {
    let (site, server) = (Site::new(), Server::named(b's').await);
    let (clients, strangers) = (Ca::new("clients"), Ca::new("strangers"));
    let ca = clients.write(site.folder.path(), "clients.pem");
    let tls = site.tls(&format!("client_auth: {{ mode: require, ca: {} }}", ca.display()));
    let edge = edge(Keys::of_listener(&tls), &[&server.address()]).await;
    let (known, unknown) = (clients.issue(&["me"]), strangers.issue(&["me"]));
    for identity in [None, Some(&unknown)] {
        let config = Arc::new(site.ca.client_with(&[], identity));
        // In TLS 1.3 a client learns of it only when it reads.
        if let Ok(mut client) = Client::secure(edge.address(), "db.example", &config).await {
            let _ = client.try_send("hello").await;
            assert_eq!(client.rest().await, b"");
        }
    }
    assert_eq!(server.accepted(), 0);
    let config = Arc::new(site.ca.client_with(&[], Some(&known)));
    let mut client = Client::secure(edge.address(), "db.example", &config).await.unwrap();
    assert_eq!(client.exactly(1).await, b"s");
}

#[tokio::test]
async fn the_name_that_was_asked_for_decides_here_too() {
    let site = Site::new();
    let (a, w) = (Server::named(b'a').await, Server::named(b'w').await);
    let sni = "sni: { a.example: a, '*.example': w }";
    let edge = Edge::start(&by_name(&site.tls(""), sni, &[('a', &a), ('w', &w)])).await;
    // Endpoints speak first.
    assert_eq!(site.client(&edge, "a.example").await.exactly(1).await, b"a");
    assert_eq!(site.client(&edge, "b.example").await.exactly(1).await, b"w");
    let lines = edge.log_of(2).await;
    assert_eq!((&lines[0]["sni"], &lines[1]["sni"]), (&"a.example".into(), &"b.example".into()));
    let config = Arc::new(site.ca.client(&[]));
    // An address is no name; its certificate is wrong, too, so that the client may end it as well.
    if let Ok(client) = Client::secure(edge.address(), "127.0.0.1", &config).await {
        assert_eq!(end_of(client).await, (Vec::new(), Ended::Reset));
    }
    assert_eq!((a.accepted(), w.accepted()), (1, 1));
}

/// What the protocol of a pool would be is no business of a listener that understands none.
#[tokio::test]
async fn clients_that_offer_protocols_are_served() {
    let (site, server) = (Site::new(), Server::named(b's').await);
    let edge = edge(Keys::of_listener(&site.tls("")), &[&server.address()]).await;
    let config = Arc::new(site.ca.client(&["postgresql", "h2"]));
    let mut client = Client::secure(edge.address(), "db.example", &config).await.unwrap();
    assert_eq!(client.exactly(1).await, b"s");
}
