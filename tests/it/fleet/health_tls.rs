use std::sync::Arc;

use pingora_core::tls::{PrivateKeyDer, ServerConfig, TlsAcceptor, install_default_crypto_provider};
use rcgen::{CertifiedKey, generate_simple_self_signed};
use tokio::io::AsyncReadExt;
use tokio::net::TcpListener;

use crate::support::{Endpoint, eventually};

use super::health::{PACE, spied};

/// Speaks TLS with a certificate that nobody has signed but itself; the names that clients asked for.
async fn tls_server() -> (std::net::SocketAddr, tokio::sync::mpsc::Receiver<Option<String>>) {
    install_default_crypto_provider();
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(["app.internal".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![cert.der().clone()], key).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, names) = tokio::sync::mpsc::channel(64);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, asked) = (acceptor.clone(), asked.clone());
            tokio::spawn(async move {
                let Ok(mut stream) = acceptor.accept(stream).await else { return };
                let _ = asked.try_send(stream.get_ref().1.server_name().map(str::to_owned));
                let _ = stream.read_to_end(&mut Vec::new()).await;
            });
        }
    });
    (address, names)
}

#[tokio::test]
async fn a_handshake_is_done_with_the_name_that_is_configured() {
    let (server, mut names) = tls_server().await;
    let plain = Endpoint::answering("ok").await;
    let tls = "tls: { sni: app.internal, verify: false }";
    let pool = format!("panic: 0%, health: {{ {tls}, {PACE} }},");
    let (spy, _edge) = spied(&pool, &[&server, &plain.address()]).await;
    eventually("the server is fit", async || spy.fit() == [server.to_string()]).await;
    assert_eq!(names.recv().await.unwrap().as_deref(), Some("app.internal"));
}

#[tokio::test]
async fn a_certificate_that_nobody_trusts_is_refused_unless_told_otherwise() {
    let (server, mut names) = tls_server().await;
    let edge = |tls: &'static str| async move {
        spied(&format!("panic: 0%, health: {{ tls: {tls}, {PACE}, rise: 1 }},"), &[&server]).await
    };
    let (strict, strict_edge) = edge("{ sni: app.internal }").await;
    assert_eq!(strict_edge.get("/").await.status, 503);
    let (lenient, _lenient_edge) = edge("{ verify: false }").await;
    eventually("it is fit without verification", async || lenient.fit().len() == 1).await;
    // By default the name is the address, which is not sent (RFC 6066 §3).
    assert_eq!(names.recv().await.unwrap(), None);
    assert!(strict.fit().is_empty());
}
