use std::fs;

use crate::support::{Client, Endpoint, Issued, eventually};

use super::{Site, get};

/// The certificate that clients are shown at the moment.
async fn shown(edge: &crate::support::Edge, site: &Site) -> Vec<u8> {
    let client = Client::secure(edge.address(), "a.example", &site.client()).await.unwrap();
    let (stream, _) = client.into_parts();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

fn renew(site: &Site) -> Issued {
    let renewed = site.ca.issue(&["a.example"]);
    renewed.write(site.folder.path(), "a.example");
    renewed
}

#[tokio::test]
async fn a_renewed_certificate_is_taken_over_and_no_connection_is_lost() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::answering("hello").await;
    let edge = site.edge(&endpoint, &format!("certificates: [{}]", site.certificates(&["a.example"]))).await;
    let (mut old, _) = get(&edge, "a.example", &site.client()).await.unwrap();
    let renewed = renew(&site);
    eventually("clients are shown the new one", async || shown(&edge, &site).await == renewed.der().as_ref())
        .await;
    old.send("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n").await;
    assert_eq!(old.response().await.status, 200);
}

#[tokio::test]
async fn what_cannot_be_used_is_not_taken_over() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::answering("hello").await;
    let edge = site.edge(&endpoint, &format!("certificates: [{}]", site.certificates(&["a.example"]))).await;
    let before = shown(&edge, &site).await;
    let key = fs::read(site.path("a.example.key")).unwrap();
    // A new certificate beside the old key: half of a renewal.
    let renewed = renew(&site);
    let new_key = fs::read(site.path("a.example.key")).unwrap();
    fs::write(site.path("a.example.key"), &key).unwrap();
    fs::write(site.path("a.example.pem"), "no certificate").unwrap();
    for _ in 0..3 {
        assert_eq!(shown(&edge, &site).await, before);
    }
    fs::write(site.path("a.example.pem"), &renewed.cert_pem).unwrap();
    fs::write(site.path("a.example.key"), &new_key).unwrap();
    eventually("clients are shown the new one", async || shown(&edge, &site).await == renewed.der().as_ref())
        .await;
}
