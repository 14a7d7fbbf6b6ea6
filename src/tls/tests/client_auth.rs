use rcgen::{DnType, DnValue, KeyPair, SanType, date_time_ymd};
use rustls::crypto::aws_lc_rs::kx_group;
use rustls::version::{TLS12, TLS13};
use rustls::{AlertDescription, HandshakeKind};

use crate::config::spec::ClientAuthMode;
use crate::tls::HandshakeError;

use super::made::{Authority, Made, params};
use super::names::alert;
use super::peer::{Client, Greeting};
use super::site::{DAY, HOUR, Site};

/// `a.example`, where clients need a certificate of the site's authority or may have one.
fn site(mode: ClientAuthMode) -> Site {
    let mut site = Site::with(&["a.example"]);
    site.config.client_auth = site.auth(mode, "ca.pem", &site.authority);
    site
}

/// Valid until the sixth of January, and thus for five days.
fn short_lived(authority: &Authority) -> Made {
    let mut params = params(&["worker"]);
    params.not_after = date_time_ymd(2030, 1, 6);
    authority.sign(&params, KeyPair::generate().unwrap())
}

#[tokio::test]
async fn required_certificates_are_required() {
    let site = site(ClientAuthMode::Require);
    let termination = site.termination();
    let good = site.authority.certify(&["worker"]);
    let strange = Authority::new("Test Root").certify(&["worker"]);
    for version in [&TLS12, &TLS13] {
        let client = Greeting::new(&site).version(version).identity(&good).client();
        let (session, _) = client.connect(&termination, "a.example").await.listener.unwrap();
        assert_eq!(session.client_cert.unwrap().subject, "CN=worker");
        let outcome = Greeting::new(&site).version(version).client().connect(&termination, "a.example").await;
        assert!(matches!(outcome.listener, Err(HandshakeError::ClientCertificate(_))));
        assert!(!outcome.listener.as_ref().unwrap_err().is_noise());
        // Which one is rustls' affair, but it is told.
        alert(&outcome);
        let client = Greeting::new(&site).version(version).identity(&strange).client();
        let outcome = client.connect(&termination, "a.example").await;
        assert!(matches!(outcome.listener, Err(HandshakeError::ClientCertificate(_))));
        alert(&outcome);
    }
    let outcome = Client::new(&site).connect(&termination, "a.example").await;
    assert_eq!(alert(&outcome), AlertDescription::CertificateRequired);
}

#[tokio::test]
async fn optional_certificates_have_to_be_good_when_they_are_shown() {
    let site = site(ClientAuthMode::Optional);
    let termination = site.termination();
    let (session, _) = Client::new(&site).connect(&termination, "a.example").await.listener.unwrap();
    assert_eq!(session.client_cert, None);
    let good = site.authority.certify(&["worker"]);
    let (session, _) = Client::with(&site, &good).connect(&termination, "a.example").await.listener.unwrap();
    assert!(session.client_cert.is_some());
    let strange = Authority::new("Strange").certify(&["worker"]);
    let outcome = Client::with(&site, &strange).connect(&termination, "a.example").await;
    assert!(matches!(outcome.listener, Err(HandshakeError::ClientCertificate(_))));
}

#[tokio::test]
async fn a_session_does_not_outlive_its_certificate() {
    let site = site(ClientAuthMode::Require);
    let termination = site.termination();
    for version in [&TLS12, &TLS13] {
        let client = Greeting::new(&site).version(version).identity(&short_lived(&site.authority)).client();
        let full = client.connect(&termination, "a.example").await;
        let (full, _) = full.listener.unwrap();
        let resumed = client.connect(&termination, "a.example").await;
        let (resumed, _) = resumed.listener.unwrap();
        assert!(resumed.is_resumed);
        assert_eq!(resumed.client_cert, full.client_cert);
    }
    let client = Client::with(&site, &short_lived(&site.authority));
    site.time.advance(5 * DAY - HOUR);
    client.connect(&termination, "a.example").await.listener.unwrap();
    site.time.advance(2 * HOUR);
    let outcome = client.connect(&termination, "a.example").await;
    assert!(matches!(outcome.listener, Err(HandshakeError::ClientCertificate(_))));
    assert_eq!(alert(&outcome), AlertDescription::CertificateExpired);
}

#[tokio::test]
async fn a_renewed_certificate_is_asked_for_when_the_old_one_has_expired() {
    for version in [&TLS12, &TLS13] {
        let site = site(ClientAuthMode::Require);
        let termination = site.termination();
        let client = Greeting::new(&site).version(version).identity(&short_lived(&site.authority)).client();
        site.time.advance(5 * DAY - HOUR);
        client.connect(&termination, "a.example").await.listener.unwrap();
        client.renew(&site.authority.certify(&["renewed"]));
        site.time.advance(2 * HOUR);
        // The client still offers its old session. What it sends comes in pieces.
        let outcome = client.connect_through(100, &termination, "a.example").await;
        let (session, _) = outcome.listener.unwrap();
        assert_eq!(
            (session.is_resumed, session.client_cert.unwrap().subject),
            (false, "CN=renewed".to_owned())
        );
        let (session, _) = client.connect(&termination, "a.example").await.listener.unwrap();
        assert_eq!(
            (session.is_resumed, session.client_cert.unwrap().subject),
            (true, "CN=renewed".to_owned())
        );
    }
}

#[tokio::test]
async fn a_retried_hello_is_verified_too() {
    let site = site(ClientAuthMode::Require);
    let termination = site.termination();
    // The listener knows no plain ML-KEM, so it asks for another message.
    let groups = [kx_group::MLKEM768, kx_group::X25519];
    let identity = short_lived(&site.authority);
    let client = Greeting::new(&site).groups(&groups).stubborn().identity(&identity).client();
    site.time.advance(5 * DAY - HOUR);
    let seen = client.connect(&termination, "a.example").await.client.unwrap();
    assert_eq!(seen.kind, HandshakeKind::FullWithHelloRetryRequest);
    let (session, _) = client.connect(&termination, "a.example").await.listener.unwrap();
    assert!(session.is_resumed);
    site.time.advance(2 * HOUR);
    let outcome = client.connect(&termination, "a.example").await;
    assert!(matches!(outcome.listener, Err(HandshakeError::ClientCertificate(_))));
    assert!(outcome.client.is_err());
}

#[tokio::test]
async fn hosts_have_rules_of_their_own() {
    let mut site = Site::with(&["a.example", "*.example", "*.admin.example"]);
    let (people, machines) = (Authority::new("People"), Authority::new("Machines"));
    let require = |site: &Site, file, authority| site.auth(ClientAuthMode::Require, file, authority);
    let auth = require(&site, "people.pem", &people);
    site.host("*.admin.example", auth);
    let auth = require(&site, "machines.pem", &machines);
    site.host("api.admin.example", auth);
    let termination = site.termination();
    let person = Client::with(&site, &people.certify(&["person"]));
    let machine = Client::with(&site, &machines.certify(&["machine"]));
    let open = Client::new(&site).connect(&termination, "a.example").await.listener.unwrap().1;
    let people = person.connect(&termination, "www.admin.example").await.listener.unwrap().1;
    let machines = machine.connect(&termination, "api.admin.example").await.listener.unwrap().1;
    assert!(machine.connect(&termination, "www.admin.example").await.listener.is_err());
    assert!(person.connect(&termination, "api.admin.example").await.listener.is_err());
    let served = |host, policies: [bool; 3]| {
        assert_eq!(
            [open, people, machines].map(|policy| termination.serves(host, policy)),
            policies,
            "{host}"
        );
    };
    served("a.example", [true, false, false]);
    served("unknown.test", [true, false, false]);
    served("other.admin.example", [false, true, false]);
    served("x.y.admin.example", [false, true, false]);
    served("api.admin.example", [false, false, true]);
    served("admin.example", [true, false, false]);
}

#[tokio::test]
async fn hooks_see_who_the_client_is() {
    let site = site(ClientAuthMode::Require);
    let mut params = params(&["worker.example"]);
    let text = |text: &str| DnValue::Utf8String(text.to_owned());
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CountryName, "DE");
    params.distinguished_name.push(DnType::OrganizationName, text(" Müller, Söhne + \"Co\" "));
    params.distinguished_name.push(DnType::CustomDnType(vec![1, 2, 3, 4]), text("x"));
    params.distinguished_name.push(DnType::CommonName, text("#7\r\nX-Admin: yes"));
    params.subject_alt_names.extend([
        SanType::URI("spiffe://example/a,DNS:admin".try_into().unwrap()),
        SanType::Rfc822Name("a\r\nb@example".try_into().unwrap()),
        SanType::IpAddress([10, 0, 0, 7].into()),
        SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()),
    ]);
    let made = site.authority.sign(&params, KeyPair::generate().unwrap());
    let termination = site.termination();
    let outcome = Client::with(&site, &made).connect(&termination, "a.example").await;
    let seen = outcome.listener.unwrap().0.client_cert.unwrap();
    assert_eq!(
        seen.subject,
        r"CN=\237\0D\0AX-Admin: yes,1.2.3.4=#0c0178,O=\20M\C3\BCller\2C S\C3\B6hne \2B \22Co\22\20,C=DE"
    );
    assert_eq!(
        seen.sans,
        [
            "DNS:worker.example",
            r"URI:spiffe://example/a\2CDNS:admin",
            r"email:a\0D\0Ab@example",
            "IP:10.0.0.7",
            "IP:::1"
        ]
    );
    assert_eq!(seen.serial, "0102ab");
    assert_eq!(seen.fingerprint.len(), 64);
    assert_eq!(humantime::format_rfc3339_seconds(seen.not_after).to_string(), "2031-01-01T00:00:00Z");
}
