//! TLS over an upgrade.

use std::sync::Arc;

use rustls::{ClientConfig, HandshakeKind};

use crate::support::{Ca, Client, eventually};

use super::super::{Place, Running};
use super::upgrade;

const HOST: &str = "a.example";

/// A listener with a certificate of this authority.
async fn site(ca: &Ca) -> Running {
    let place = Place::with(
        "listeners: { web: { bind: 127.0.0.1:0, tls: { certificates: [{ cert: a.pem, key: a.key }] } } }
routes: [{ match: { host: a.example }, respond: {} }]
log: { access: { format: off } }
",
    );
    ca.issue(&[HOST]).write(place.path(), "a");
    let command = place.command(&["run", "-c", "edge.yaml"]);
    Running::launch(place, command, 1).await
}

/// The certificate that a client is shown, and how it has shaken hands.
async fn shown(running: &Running, config: &Arc<ClientConfig>) -> (Vec<u8>, HandshakeKind) {
    let mut client = Client::secure(running.address(), HOST, config).await.unwrap();
    // Tickets come before the answer.
    client.send(format!("GET / HTTP/1.1\r\nHost: {HOST}\r\n\r\n")).await;
    assert_eq!(client.response().await.status, 200);
    let (stream, _) = client.into_parts();
    let session = stream.get_ref().1;
    (session.peer_certificates().unwrap()[0].to_vec(), session.handshake_kind().unwrap())
}

#[tokio::test]
async fn a_certificate_that_is_renewed_after_an_upgrade_is_served() {
    let ca = Ca::new("site");
    let running = site(&ca).await;
    upgrade(&running, &[]).await;
    for _ in 0..2 {
        let renewed = ca.issue(&[HOST]);
        renewed.write(&running.file(""), "a");
        let is_shown = async || shown(&running, &Arc::new(ca.client(&[]))).await.0 == renewed.der().to_vec();
        eventually("the new one is shown", is_shown).await;
    }
}

#[tokio::test]
async fn sessions_resume_in_the_new_process() {
    let ca = Ca::new("site");
    let running = site(&ca).await;
    let client = Arc::new(ca.client(&[]));
    assert_eq!(shown(&running, &client).await.1, HandshakeKind::Full);
    upgrade(&running, &[]).await;
    assert_eq!(shown(&running, &client).await.1, HandshakeKind::Resumed);
    let stranger = Arc::new(ca.client(&[]));
    assert_eq!(shown(&running, &stranger).await.1, HandshakeKind::Full);
}
