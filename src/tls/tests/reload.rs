use crate::config::spec::ClientAuthMode;

use super::made::{Authority, params};
use super::peer::Client;
use super::site::Site;

#[tokio::test]
async fn new_files_are_taken_over_as_a_whole() {
    let mut site = Site::with(&["a.example"]);
    let second = site.authority.certify(&["b.example"]);
    site.add("second", &second);
    let termination = site.termination();
    assert!(termination.reload().unwrap().changes.is_empty());

    let mut renewed = params(&["b.example", "c.example"]);
    renewed.not_after = rcgen::date_time_ymd(2032, 1, 1);
    let renewed = site.authority.sign(&renewed, rcgen::KeyPair::generate().unwrap());
    renewed.write(&site.path("second.pem"), &site.path("unused.key"));
    // The key is still the old one.
    let problems = termination.reload().unwrap_err();
    assert!(problems[0].message.contains("is not that of the certificate"), "{problems:?}");
    let shown = async || Client::new(&site).connect(&termination, "b.example").await.client.unwrap().shown;
    assert_eq!(shown().await, second.chain[0]);

    site.put("second", &renewed);
    let reloaded = termination.reload().unwrap();
    let changes: Vec<_> = reloaded.changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        changes,
        [format!(
            "new certificate in `{}` for b.example, c.example: expires 2032-01-01T00:00:00Z, was 2031-01-01T00:00:00Z",
            site.path("second.pem").display()
        )]
    );
    assert_eq!(shown().await, renewed.chain[0]);
    let info = &termination.certificates()[1];
    assert_eq!((info.names.join(" ").as_str(), info.key), ("b.example c.example", "ECDSA"));
    assert_eq!(humantime::format_rfc3339_seconds(info.not_after).to_string(), "2032-01-01T00:00:00Z");
    assert_eq!(info.file, site.path("second.pem"));
}

#[tokio::test]
async fn new_authorities_change_the_policy() {
    let mut site = Site::with(&["a.example"]);
    site.config.client_auth = site.auth(ClientAuthMode::Optional, "ca.pem", &site.authority);
    let termination = site.termination();
    let (_, policy) = Client::new(&site).connect(&termination, "a.example").await.listener.unwrap();
    assert!(termination.serves("a.example", policy));
    site.auth(ClientAuthMode::Optional, "ca.pem", &Authority::new("Other"));
    let changes = termination.reload().unwrap().changes;
    assert_eq!(
        changes[0].to_string(),
        format!("new authorities of clients in `{}`", site.path("ca.pem").display())
    );
    // Who was let in by the former ones connects again.
    assert!(!termination.serves("a.example", policy));
}

#[test]
fn it_knows_its_files() {
    let mut site = Site::with(&["a.example"]);
    site.config.client_auth = site.auth(ClientAuthMode::Require, "ca.pem", &site.authority);
    let auth = site.auth(ClientAuthMode::Optional, "ca.pem", &site.authority);
    site.host("a.example", auth);
    let termination = site.termination();
    assert_eq!(termination.files(), ["ca.pem", "site.key", "site.pem"].map(|file| site.path(file)));
}
