use rustls::{AlertDescription, SignatureScheme};

use crate::config::spec::UnknownSni;
use crate::tls::HandshakeError;

use super::made::{Made, ed25519, params, rsa};
use super::peer::{Client, Greeting, Outcome};
use super::site::Site;

fn is_shown(outcome: &Outcome, made: &Made) -> bool {
    outcome.client.as_ref().unwrap().shown == made.chain[0]
}

pub(super) fn alert(outcome: &Outcome) -> AlertDescription {
    let error = outcome.client.as_ref().unwrap_err();
    match error.get_ref().and_then(|inner| inner.downcast_ref()) {
        Some(rustls::Error::AlertReceived(alert)) => *alert,
        _ => panic!("no alert: {error}"),
    }
}

#[tokio::test]
async fn exact_names_come_before_wildcards_and_wildcards_are_one_label() {
    let mut site = Site::new();
    let first = site.authority.certify(&["first.example", "a.b.example.com", "example.com"]);
    let wildcard = site.authority.certify(&["*.Example.com"]);
    let exact = site.authority.certify(&["www.example.com"]);
    site.add("first", &first);
    site.add("wildcard", &wildcard);
    site.add("exact", &exact);
    let termination = site.termination();
    let client = Client::new(&site);
    assert!(is_shown(&client.connect(&termination, "www.example.com").await, &exact));
    assert!(is_shown(&client.connect(&termination, "WWW.EXAMPLE.COM").await, &exact));
    assert!(is_shown(&client.connect(&termination, "api.example.com").await, &wildcard));
    // The default, since the wildcard does not reach that deep.
    assert!(is_shown(&client.connect(&termination, "a.b.example.com").await, &first));
    assert!(is_shown(&client.connect(&termination, "example.com").await, &first));
}

#[tokio::test]
async fn clients_get_the_best_kind_of_key_that_they_know() {
    let mut site = Site::new();
    let old = site.authority.sign(&params(&["a.example"]), rsa());
    let new = site.authority.certify(&["a.example"]);
    site.add("old", &old);
    site.add("new", &new);
    let termination = site.termination();
    assert!(is_shown(&Client::new(&site).connect(&termination, "a.example").await, &new));
    let is_rsa =
        |scheme| matches!(scheme, SignatureScheme::RSA_PSS_SHA256 | SignatureScheme::RSA_PKCS1_SHA256);
    for version in rustls::ALL_VERSIONS {
        let client = Greeting::new(&site).schemes(is_rsa).version(version).client();
        assert!(is_shown(&client.connect(&termination, "a.example").await, &old), "{version:?}");
        // The siblings of the default serve whoever it serves.
        let client = Greeting::new(&site).schemes(is_rsa).version(version).nameless().client();
        assert!(is_shown(&client.connect(&termination, "a.example").await, &old), "{version:?}");
    }
}

#[tokio::test]
async fn ed25519_serves_clients_that_know_it() {
    let mut site = Site::new();
    let made = site.authority.sign(&params(&["a.example"]), ed25519());
    site.add("site", &made);
    let termination = site.termination();
    assert!(is_shown(&Client::new(&site).connect(&termination, "a.example").await, &made));
    let client = Greeting::new(&site).schemes(|scheme| scheme != SignatureScheme::ED25519).client();
    let outcome = client.connect(&termination, "a.example").await;
    assert_eq!(alert(&outcome), AlertDescription::HandshakeFailure);
    assert!(outcome.listener.unwrap_err().is_noise());
}

#[tokio::test]
async fn unknown_names_get_the_first_certificate() {
    let mut site = Site::with(&["a.example", "b.example"]);
    let second = site.authority.certify(&["c.example"]);
    site.add("second", &second);
    let termination = site.termination();
    // The client does not believe it, so look at what it was sent.
    let outcome = Client::new(&site).connect(&termination, "unknown.example").await;
    let error = outcome.client.unwrap_err().to_string();
    assert!(error.contains("a.example") && !error.contains("c.example"), "{error}");
    let listener = outcome.listener.unwrap_err();
    assert!(listener.is_noise(), "{listener}");
    let outcome = Greeting::new(&site).nameless().client().connect(&termination, "b.example").await;
    assert_eq!(outcome.listener.unwrap().0.server_name, None);
}

#[tokio::test]
async fn unknown_names_can_be_rejected() {
    let mut site = Site::with(&["a.example", "*.b.example"]);
    site.config.unknown_sni = UnknownSni::Reject;
    let termination = site.termination();
    let client = Client::new(&site);
    for known in ["a.example", "x.b.example"] {
        let (session, _) = client.connect(&termination, known).await.listener.unwrap();
        assert_eq!(session.server_name.as_deref(), Some(known));
    }
    for unknown in ["b.example", "x.y.b.example", "c.example"] {
        let outcome = client.connect(&termination, unknown).await;
        assert_eq!(alert(&outcome), AlertDescription::UnrecognisedName);
        let error = outcome.listener.unwrap_err();
        assert!(error.is_noise());
        assert_eq!(error.to_string(), format!("no certificate holds `{unknown}`"));
    }
    let outcome = Greeting::new(&site).nameless().client().connect(&termination, "a.example").await;
    assert_eq!(alert(&outcome), AlertDescription::UnrecognisedName);
    assert!(matches!(outcome.listener, Err(HandshakeError::NoName)));
}
