//! Certificates and client certificates of listeners.

use std::path::Path;
use std::sync::Arc;

use rustls::{ClientConfig, HandshakeKind};

use crate::support::{Ca, Client, Edge, eventually};

struct Site {
    ca: Ca,
    clients: Ca,
    folder: tempfile::TempDir,
}

const HOSTS: [&str; 2] = ["open.example", "admin.example"];

impl Site {
    fn new() -> Self {
        let (ca, clients, folder) = (Ca::new("site"), Ca::new("clients"), tempfile::tempdir().unwrap());
        ca.issue(&HOSTS).write(folder.path(), "site");
        clients.write(folder.path(), "clients.pem");
        Self { ca, clients, folder }
    }

    fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A configuration whose listener has these further keys for TLS.
    fn config(&self, tls: &str) -> String {
        let folder = self.folder().display();
        format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0, tls: {{ certificates: [{{ cert: {folder}/site.pem, key: {folder}/site.key }}], {} }} }} }}
routes: [{{ respond: {{}} }}]
",
            tls.replace("CLIENTS", &format!("ca: {folder}/clients.pem"))
        )
    }

    fn nobody(&self) -> Arc<ClientConfig> {
        Arc::new(self.ca.client(&[]))
    }

    fn known(&self) -> Arc<ClientConfig> {
        let worker = self.clients.issue(&["worker.example"]);
        Arc::new(self.ca.client_with(&[], Some(&worker)))
    }
}

type Secure = Client<tokio_rustls::client::TlsStream<tokio::net::TcpStream>>;

async fn ask(client: &mut Secure, host: &str) -> u16 {
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    client.response().await.status
}

/// Whether a connection for the host ends without an answer.
async fn is_refused(edge: &Edge, host: &str, config: &Arc<ClientConfig>) -> bool {
    let Ok(mut client) = Client::secure(edge.address(), host, config).await else { return true };
    let _ = client.try_send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    client.rest().await.is_empty()
}

#[tokio::test]
async fn a_host_that_asks_for_certificates_now_is_not_reached_over_connections_from_before() {
    let site = Site::new();
    let edge = Edge::start(&site.config("")).await;
    let mut old = Client::secure(edge.address(), "open.example", &site.nobody()).await.unwrap();
    assert_eq!((ask(&mut old, "open.example").await, ask(&mut old, "admin.example").await), (200, 200));
    let mut same = Client::secure(edge.address(), "admin.example", &site.nobody()).await.unwrap();
    assert_eq!(ask(&mut same, "admin.example").await, 200);
    edge.reload(&site.config("hosts: { admin.example: { client_auth: { mode: require, CLIENTS } } }")).await;
    for client in [&mut old, &mut same] {
        assert_eq!(ask(client, "admin.example").await, 421);
        assert_eq!(ask(client, "open.example").await, 200);
    }
    assert!(is_refused(&edge, "admin.example", &site.nobody()).await);
    let mut known = Client::secure(edge.address(), "admin.example", &site.known()).await.unwrap();
    assert_eq!(ask(&mut known, "admin.example").await, 200);
    // For the whole listener.
    edge.reload(&site.config("client_auth: { mode: require, CLIENTS }")).await;
    for client in [&mut old, &mut same] {
        assert_eq!(ask(client, "open.example").await, 421);
    }
    assert!(is_refused(&edge, "open.example", &site.nobody()).await);
    // Other authorities are another rule, also for those who were let in.
    Ca::new("others").write(site.folder(), "clients.pem");
    edge.reload(&site.config("client_auth: { mode: require, CLIENTS }")).await;
    assert_eq!(ask(&mut known, "admin.example").await, 421);
    assert!(is_refused(&edge, "admin.example", &site.known()).await);
}

#[tokio::test]
async fn a_ticket_from_before_opens_no_host_that_asks_for_certificates_now() {
    let site = Site::new();
    let edge = Edge::start(&site.config("")).await;
    let config = site.nobody();
    let mut client = Client::secure(edge.address(), "admin.example", &config).await.unwrap();
    assert_eq!(ask(&mut client, "admin.example").await, 200);
    edge.reload(&site.config("client_auth: { mode: require, CLIENTS }")).await;
    assert!(is_refused(&edge, "admin.example", &config).await);
}

#[tokio::test]
async fn certificates_are_read_again_and_tickets_from_before_still_resume() {
    let site = Site::new();
    let edge = Edge::start(&site.config("")).await;
    let config = site.nobody();
    let mut old = Client::secure(edge.address(), "open.example", &config).await.unwrap();
    assert_eq!(ask(&mut old, "open.example").await, 200);
    let renewed = site.ca.issue(&HOSTS);
    renewed.write(site.folder(), "site");
    // The watch of files may have been faster than the reload; then there is nothing to tell.
    let told = edge.reload(&site.config("")).await;
    assert!(
        told == "no difference\n" || told.contains("listeners.web: ") && told.contains("site.pem"),
        "{told}"
    );
    let shown = async |config: &Arc<ClientConfig>| {
        let (stream, _) = Client::secure(edge.address(), "open.example", config).await.unwrap().into_parts();
        let session = stream.get_ref().1;
        (session.peer_certificates().unwrap()[0].to_vec(), session.handshake_kind())
    };
    assert_eq!(shown(&site.nobody()).await, (renewed.der().to_vec(), Some(HandshakeKind::Full)));
    assert_eq!(shown(&config).await.1, Some(HandshakeKind::Resumed));
    assert_eq!(ask(&mut old, "open.example").await, 200);
    // What has changed since the reload is found as before one.
    let again = site.ca.issue(&HOSTS);
    again.write(site.folder(), "site");
    eventually("clients are shown it", async || shown(&site.nobody()).await.0 == again.der().to_vec()).await;
}
