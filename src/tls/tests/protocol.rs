use std::io;

use rustls::crypto::aws_lc_rs::kx_group;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, HandshakeKind, NamedGroup};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

use crate::config::spec::HttpVersion;
use crate::tls::HandshakeError;
use crate::types::TlsVersion;

use super::names::alert;
use super::peer::{Client, Greeting};
use super::site::Site;

#[tokio::test]
async fn the_oldest_version_is_configured() {
    let mut site = Site::with(&["a.example"]);
    let termination = site.termination();
    for (version, spoken) in [(&TLS12, TlsVersion::V1_2), (&TLS13, TlsVersion::V1_3)] {
        let client = Greeting::new(&site).version(version).client();
        let (session, _) = client.connect(&termination, "a.example").await.listener.unwrap();
        assert_eq!(session.version, spoken);
    }
    site.config.min_version = TlsVersion::V1_3;
    let termination = site.termination();
    let outcome = Greeting::new(&site).version(&TLS12).client().connect(&termination, "a.example").await;
    assert_eq!(alert(&outcome), AlertDescription::ProtocolVersion);
    assert!(outcome.listener.unwrap_err().is_noise());
}

#[tokio::test]
async fn alpn_offers_what_the_listener_speaks() {
    let mut site = Site::with(&["a.example"]);
    let both = site.termination();
    site.http = vec![HttpVersion::H1];
    let h1_only = site.termination();
    let chosen = async |termination, names: &[&str]| {
        let outcome = Greeting::new(&site).alpn(names).client().connect(termination, "a.example").await;
        outcome.listener.unwrap().0.alpn
    };
    assert_eq!(chosen(&both, &["http/1.1", "h2"]).await, Some(HttpVersion::H2));
    assert_eq!(chosen(&both, &["http/1.1"]).await, Some(HttpVersion::H1));
    assert_eq!(chosen(&both, &[]).await, None);
    assert_eq!(chosen(&h1_only, &["h2", "http/1.1"]).await, Some(HttpVersion::H1));
    let outcome = Greeting::new(&site).alpn(&["h2"]).client().connect(&h1_only, "a.example").await;
    assert_eq!(alert(&outcome), AlertDescription::NoApplicationProtocol);
    assert!(outcome.listener.unwrap_err().is_noise());
}

#[tokio::test]
async fn the_key_exchange_is_post_quantum_where_the_client_knows_it() {
    let site = Site::with(&["a.example"]);
    let termination = site.termination();
    let seen = Client::new(&site).connect(&termination, "a.example").await.client.unwrap();
    assert_eq!(seen.group, Some(NamedGroup::X25519MLKEM768));
    // A client that has sent a share for another group only is not sent back for a second round trip.
    let client = Greeting::new(&site).groups(&[kx_group::X25519, kx_group::X25519MLKEM768]).client();
    let seen = client.connect(&termination, "a.example").await.client.unwrap();
    assert_eq!((seen.group, seen.kind), (Some(NamedGroup::X25519), HandshakeKind::Full));
    let client = Greeting::new(&site).groups(&[kx_group::X25519]).client();
    let seen = client.connect(&termination, "a.example").await.client.unwrap();
    assert_eq!(seen.group, Some(NamedGroup::X25519));
}

/// What a client that sends this gets back, and why it is not served.
async fn send(site: &Site, bytes: &[u8]) -> (Vec<u8>, HandshakeError) {
    let termination = site.termination();
    let (mut near, far) = duplex(1024);
    let client = async {
        near.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        // The listener ends the connection; the client does not.
        near.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let (answer, error) = tokio::join!(client, async { termination.accept(far).await.unwrap_err() });
    (answer, error)
}

#[tokio::test]
async fn what_is_no_tls_ends_at_once_and_quietly() {
    const ALERT: u8 = 21;
    let site = Site::with(&["a.example"]);
    for garbage in [&b"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n"[..], b"\x16\x03\x01\x00\x05\x02\0\0\0\0"] {
        let (answer, error) = send(&site, garbage).await;
        assert_eq!(answer[0], ALERT, "{answer:?}");
        assert!(matches!(error, HandshakeError::Tls(_)) && error.is_noise(), "{error}");
    }
}

#[tokio::test]
async fn clients_that_leave_are_no_news() {
    let site = Site::with(&["a.example"]);
    let termination = site.termination();
    for sent in [&b""[..], b"\x16\x03\x01"] {
        let (mut near, far) = duplex(1024);
        near.write_all(sent).await.unwrap();
        drop(near);
        let error = termination.accept(far).await.unwrap_err();
        assert!(matches!(error, HandshakeError::Closed) && error.is_noise(), "{error}");
    }
}

#[test]
fn warnings_are_for_what_somebody_can_mend() {
    use rustls::Error;
    let alert = |alert| HandshakeError::from(Error::AlertReceived(alert)).is_noise();
    assert!(alert(AlertDescription::UnknownCA));
    assert!(!alert(AlertDescription::CertificateExpired));
    assert!(!HandshakeError::from(Error::General("no randomness".into())).is_noise());
    assert!(!HandshakeError::from(Error::NoCertificatesPresented).is_noise());
    assert!(HandshakeError::from(io::Error::from(io::ErrorKind::ConnectionReset)).is_noise());
    let wrapped = io::Error::new(io::ErrorKind::InvalidData, Error::NoCertificatesPresented);
    assert!(matches!(HandshakeError::from(wrapped), HandshakeError::ClientCertificate(_)));
}

#[tokio::test]
async fn messages_come_in_pieces_and_together() {
    let site = Site::with(&["a.example"]);
    let termination = site.termination();
    let client = Client::new(&site);
    // With room for fewer bytes both sides would only write; real connections hold more.
    client.connect_through(50, &termination, "a.example").await.listener.unwrap();

    // A change_cipher_spec right behind the first message, which some clients send for the sake of middleboxes.
    const CHANGE_CIPHER_SPEC: [u8; 6] = [20, 3, 3, 0, 1, 1];
    let (mut near, far) = duplex(64 * 1024);
    let by_hand = async {
        let mut connection = client.connection("a.example");
        let mut bytes = Vec::new();
        connection.write_tls(&mut bytes).unwrap();
        bytes.extend(CHANGE_CIPHER_SPEC);
        while connection.is_handshaking() {
            near.write_all(&bytes).await.unwrap();
            let mut received = vec![0; 16 * 1024];
            let length = near.read(&mut received).await.unwrap();
            connection.read_tls(&mut &received[..length]).unwrap();
            connection.process_new_packets().unwrap();
            bytes.clear();
            while connection.wants_write() {
                connection.write_tls(&mut bytes).unwrap();
            }
        }
        near.write_all(&bytes).await.unwrap();
    };
    let (accepted, ()) = tokio::join!(termination.accept(far), by_hand);
    assert_eq!(accepted.unwrap().session.version, TlsVersion::V1_3);
}
