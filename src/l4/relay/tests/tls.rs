use std::sync::Arc;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::client::TlsStream;
use tokio_rustls::{TlsAcceptor, TlsConnector};

use super::super::{ClosedBy, End, Pipes, Relay, Relayed};
use super::{LIMITS, assert_reset, last_read, pass, read_stream, tcp_pair, write_stream};
use crate::net::Transport;

const MIB: usize = 1024 * 1024;

/// A relay whose client speaks TLS, which ends at the relay.
async fn scene(pipes: &Arc<Pipes>) -> (TlsStream<TcpStream>, TcpStream, JoinHandle<Relayed>) {
    let CertifiedKey { cert, signing_key } = generate_simple_self_signed(["test".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = Arc::new(default_provider());
    let server = ServerConfig::builder_with_provider(provider.clone());
    let server = server.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let server = server.with_single_cert(vec![cert.der().clone()], key).unwrap();
    let client = ClientConfig::builder_with_provider(provider);
    let client = client.with_safe_default_protocol_versions().unwrap();
    let client = client.with_root_certificates(roots).with_no_client_auth();

    let ((client_side, near), (endpoint, far)) = (tcp_pair().await, tcp_pair().await);
    let name = ServerName::try_from("test").unwrap();
    let (client, near) = tokio::join!(
        TlsConnector::from(Arc::new(client)).connect(name, client_side),
        TlsAcceptor::from(Arc::new(server)).accept(Transport::Tcp(near)),
    );
    let near = Transport::Tls(Box::new(near.unwrap().into()));
    let relay = Relay::new(near, Transport::Tcp(far), LIMITS, pipes.clone(), |_| {});
    (client.unwrap(), endpoint, tokio::spawn(relay))
}

#[tokio::test]
async fn tls_that_ends_here_is_copied_both_ways() {
    let pipes = Pipes::new(16);
    let (client, endpoint, relay) = scene(&pipes).await;
    let (mut client_reads, mut client_writes) = split(client);
    let (mut endpoint_reads, mut endpoint_writes) = endpoint.into_split();
    tokio::join!(
        write_stream(&mut client_writes, 4 * MIB, 1, 300_000),
        read_stream(&mut endpoint_reads, 4 * MIB, 1, 5000),
        write_stream(&mut endpoint_writes, 4 * MIB, 2, 300_000),
        read_stream(&mut client_reads, 4 * MIB, 2, 5000),
    );
    let relayed = relay.await.unwrap();
    assert_eq!(relayed.end, End::Finished);
    assert_eq!((relayed.bytes_in, relayed.bytes_out), (4 * MIB as u64, 4 * MIB as u64));
    assert_eq!(pipes.open(), 0);
}

#[tokio::test]
async fn an_end_within_tls_is_passed_on_and_the_answer_comes_back() {
    let (mut client, mut endpoint, relay) = scene(&Pipes::new(0)).await;
    client.write_all(b"request").await.unwrap();
    client.shutdown().await.unwrap();
    let mut request = Vec::new();
    endpoint.read_to_end(&mut request).await.unwrap();
    assert_eq!(request, b"request");
    pass(&mut endpoint, &mut client, b"answer").await;
    drop(endpoint);
    // Without an end within TLS, this would be an error.
    assert_eq!(last_read(&mut client).await.unwrap(), 0);
    let relayed = relay.await.unwrap();
    assert_eq!((relayed.end, relayed.closed_by), (End::Finished, ClosedBy::Client));
}

#[tokio::test]
async fn an_end_that_tls_does_not_vouch_for_is_a_reset() {
    let (mut client, mut endpoint, relay) = scene(&Pipes::new(0)).await;
    pass(&mut client, &mut endpoint, b"half of ").await;
    // So that the client has read the tickets: with bytes unread, its socket would be reset by its close.
    pass(&mut endpoint, &mut client, b"go on").await;
    drop(client);
    assert_reset(last_read(&mut endpoint).await);
    let relayed = relay.await.unwrap();
    assert_eq!((relayed.end, relayed.closed_by), (End::Reset, ClosedBy::Client));
}
