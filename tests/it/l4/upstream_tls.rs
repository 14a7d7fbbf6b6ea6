use std::path::Path;
use std::sync::Arc;

use tempfile::TempDir;
use tokio::net::TcpListener;

use crate::support::{Ca, Client, TlsFront};

use super::streams::{Pattern, exchange, next};
use super::{Ended, Keys, Server, edge, end_of, greeted, who_serves};

/// An authority, and a folder with its certificate.
struct Fleet {
    ca: Ca,
    folder: TempDir,
}

impl Fleet {
    fn new() -> Self {
        let (ca, folder) = (Ca::new("fleet"), tempfile::tempdir().unwrap());
        ca.write(folder.path(), "ca.pem");
        Self { ca, folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What ends TLS before a server, with a certificate for `name`.
    async fn front(&self, name: &str, server: &Server) -> TlsFront {
        TlsFront::new(self.ca.issue(&[name]).server(&[]), server.address()).await
    }

    fn pool(&self, more: &str) -> String {
        format!("tls: {{ ca: '{}/ca.pem', sni: db.internal }}, balance: first, {more}", self.path().display())
    }
}

#[tokio::test]
async fn endpoints_may_speak_tls() {
    let (fleet, listener) = (Fleet::new(), TcpListener::bind("127.0.0.1:0").await.unwrap());
    let config = fleet.ca.issue(&["db.internal"]).server(&[]);
    let front = TlsFront::new(config, listener.local_addr().unwrap()).await;
    let edge = edge(Keys::of_pool(&fleet.pool("")), &[&front.address()]).await;
    let client = edge.connect().await.into_parts().0;
    let endpoint = next(&listener).await;
    let (question, answer) = (Pattern::new(1), Pattern::new(2));
    tokio::join!(
        exchange(client, &question, &answer, 4_000_000),
        exchange(endpoint, &answer, &question, 4_000_000)
    );
    assert_eq!(front.handshakes()[0].name.as_deref(), Some("db.internal"));
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["bytes_in"]), (&"finished".into(), &4_000_000.into()));
}

#[tokio::test]
async fn an_endpoint_that_is_not_who_it_should_be_is_not_connected_to() {
    let (fleet, server) = (Fleet::new(), Server::named(b's').await);
    let other_name = fleet.front("other.internal", &server).await;
    let stranger =
        TlsFront::new(Ca::new("strangers").issue(&["db.internal"]).server(&[]), server.address()).await;
    for wrong in [other_name.address(), stranger.address(), server.address()] {
        let edge = edge(Keys::of_pool(&fleet.pool("")), &[&wrong]).await;
        let mut client = edge.connect().await;
        let _ = client.try_send("a secret").await;
        assert_eq!(end_of(client).await, (Vec::new(), Ended::Reset));
        let line = edge.log_of(1).await.remove(0);
        assert_eq!((&line["ended"], &line["closed_by"]), (&"tls_failed".into(), &"edge".into()));
    }
    assert!(other_name.handshakes().is_empty() && stranger.handshakes().is_empty());
}

#[tokio::test]
async fn another_one_is_tried_then() {
    let (fleet, server) = (Fleet::new(), Server::named(b's').await);
    let good = fleet.front("db.internal", &server).await;
    let wrong = fleet.front("other.internal", &server).await;
    let edge = edge(Keys::of_pool(&fleet.pool("")), &[&wrong.address(), &good.address()]).await;
    let (name, client) = greeted(edge.connect().await).await.unwrap();
    assert_eq!(name, b's');
    drop(client);
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["attempts"], &line["endpoint"]), (&2.into(), &good.address().to_string().into()));
}

#[tokio::test]
async fn so_it_is_where_one_does_not_answer_the_handshake() {
    let (fleet, server) = (Fleet::new(), Server::named(b's').await);
    let silent = Server::with(super::server::listen).await;
    let good = fleet.front("db.internal", &server).await;
    let pool = fleet.pool("timeouts: { connect: 300ms },");
    let edge = edge(Keys::of_pool(&pool), &[&silent.address(), &good.address()]).await;
    assert_eq!(who_serves(&edge).await, Some(b's'));
    assert_eq!(edge.log_of(1).await[0]["attempts"], 2);
}

#[tokio::test]
async fn tls_may_end_and_begin_here() {
    let (fleet, server) = (Fleet::new(), Server::echo().await);
    let good = fleet.front("db.internal", &server).await;
    let site = Ca::new("site");
    site.issue(&["db.example"]).write(fleet.path(), "site");
    let path = fleet.path().join("site");
    let listener = format!("tls: {{ certificates: [{{ cert: {0}.pem, key: {0}.key }}] }},", path.display());
    let keys = Keys { listener: &listener, pool: &fleet.pool(""), ..Keys::default() };
    let edge = edge(keys, &[&good.address()]).await;
    let mut client = Client::secure(edge.address(), "db.example", &Arc::new(site.client(&[]))).await.unwrap();
    client.send("hello").await;
    assert_eq!(client.exactly(5).await, b"hello");
    client.half_close().await;
    assert_eq!(end_of(client).await, (Vec::new(), Ended::Cleanly));
}
