use rustls::HandshakeKind;
use rustls::version::{TLS12, TLS13};

use crate::config::spec::ClientAuthMode;
use crate::tls::{Termination, TicketKeys};
use crate::types::Span;

use super::made::{Authority, params};
use super::peer::{Client, Greeting};
use super::site::{DAY, HOUR, Site};

const NAME: &str = "a.example";

async fn kind(client: &Client, termination: &Termination) -> HandshakeKind {
    let outcome = client.connect(termination, NAME).await;
    let (session, _) = outcome.listener.unwrap();
    let kind = outcome.client.unwrap().kind;
    assert_eq!(session.is_resumed, kind == HandshakeKind::Resumed);
    kind
}

#[tokio::test]
async fn sessions_are_resumed() {
    let site = Site::with(&[NAME]);
    let termination = site.termination();
    for version in [&TLS12, &TLS13] {
        let client = Greeting::new(&site).version(version).client();
        assert_eq!(kind(&client, &termination).await, HandshakeKind::Full);
        assert_eq!(kind(&client, &termination).await, HandshakeKind::Resumed);
        assert_eq!(kind(&client, &termination).await, HandshakeKind::Resumed);
    }
}

#[tokio::test]
async fn tickets_outlive_reloads_and_the_process() {
    let mut site = Site::with(&[NAME]);
    let client = Client::new(&site);
    let first = site.termination();
    assert_eq!(kind(&client, &first).await, HandshakeKind::Full);
    first.reload().unwrap();
    assert_eq!(kind(&client, &first).await, HandshakeKind::Resumed);
    assert_eq!(kind(&client, &site.termination()).await, HandshakeKind::Resumed);
    let exported = site.keys.export();
    site.keys = TicketKeys::new(site.time.clock());
    let successor = site.termination();
    site.keys.import(&exported).unwrap();
    assert_eq!(kind(&client, &successor).await, HandshakeKind::Resumed);
    // A process that was told nothing cannot read them.
    site.keys = TicketKeys::new(site.time.clock());
    assert_eq!(kind(&client, &site.termination()).await, HandshakeKind::Full);
}

#[tokio::test]
async fn a_ticket_lives_for_two_rotations() {
    for (age, expected) in [(23 * HOUR, HandshakeKind::Resumed), (24 * HOUR, HandshakeKind::Full)] {
        for version in [&TLS12, &TLS13] {
            let site = Site::with(&[NAME]);
            let termination = site.termination();
            let client = Greeting::new(&site).version(version).client();
            // The key is nearly used up when it seals this one.
            kind(&Client::new(&site), &termination).await;
            site.time.advance(11 * HOUR);
            assert_eq!(kind(&client, &termination).await, HandshakeKind::Full);
            site.time.advance(age);
            assert_eq!(kind(&client, &termination).await, expected, "{age:?} {version:?}");
        }
    }
}

#[tokio::test]
async fn tickets_can_be_switched_off() {
    let mut site = Site::with(&[NAME]);
    site.config.rotate_tickets = Span::from_secs(0);
    let termination = site.termination();
    for version in [&TLS12, &TLS13] {
        let client = Greeting::new(&site).version(version).client();
        assert_eq!(kind(&client, &termination).await, HandshakeKind::Full);
        assert_eq!(kind(&client, &termination).await, HandshakeKind::Full);
    }
}

#[tokio::test]
async fn a_session_does_not_get_around_a_policy() {
    let mut site = Site::with(&[NAME]);
    let open = site.termination();
    let identity = site.authority.certify(&["client"]);
    let with = Client::with(&site, &identity);
    let without = Client::new(&site);
    assert_eq!(kind(&with, &open).await, HandshakeKind::Full);
    assert_eq!(kind(&without, &open).await, HandshakeKind::Full);
    site.config.client_auth = site.auth(ClientAuthMode::Optional, "ca.pem", &site.authority);
    let optional = site.termination();
    assert_eq!(kind(&with, &optional).await, HandshakeKind::Full);
    assert_eq!(kind(&without, &optional).await, HandshakeKind::Full);
    site.config.client_auth = site.auth(ClientAuthMode::Require, "ca.pem", &site.authority);
    let required = site.termination();
    assert_eq!(kind(&with, &required).await, HandshakeKind::Full);
    assert_eq!(kind(&with, &required).await, HandshakeKind::Resumed);
    assert!(without.connect(&required, NAME).await.listener.is_err());
}

#[tokio::test]
async fn other_authorities_end_all_sessions() {
    let mut site = Site::with(&[NAME]);
    let (former, new) = (Authority::new("Former"), Authority::new("New"));
    site.config.client_auth = site.auth(ClientAuthMode::Require, "ca.pem", &former);
    let termination = site.termination();
    let client = Client::with(&site, &former.sign(&params(&["client"]), rcgen::KeyPair::generate().unwrap()));
    assert_eq!(kind(&client, &termination).await, HandshakeKind::Full);
    assert_eq!(kind(&client, &termination).await, HandshakeKind::Resumed);
    site.auth(ClientAuthMode::Require, "ca.pem", &new);
    termination.reload().unwrap();
    assert!(client.connect(&termination, NAME).await.listener.is_err());
}

#[tokio::test]
async fn rotation_keeps_what_it_has_to() {
    let site = Site::with(&[NAME]);
    let termination = site.termination();
    let clients: Vec<_> = (0..5).map(|_| Client::new(&site)).collect();
    for client in &clients {
        assert_eq!(kind(client, &termination).await, HandshakeKind::Full);
        site.time.advance(12 * HOUR);
    }
    // A byte of format, then rotation, name, time and secret of each key: two that open, one that would seal.
    assert_eq!((site.keys.export().len() - 1) / (8 + 16 + 8 + 32), 2);
    site.time.advance(3 * DAY);
    assert_eq!(site.keys.export().len(), 1);
}

#[test]
fn only_whole_exports_are_taken_over() {
    let site = Site::with(&[NAME]);
    let keys = TicketKeys::new(site.time.clock());
    for bytes in [&b""[..], &[2], &[1, 0, 0, 0], &[1; 1 + 63], &[&[1][..], &[0; 64]].concat()] {
        assert!(keys.import(bytes).is_err(), "{bytes:?}");
    }
    assert_eq!(keys.export().len(), 1);
    assert!(keys.import(&[1]).is_ok());
}
