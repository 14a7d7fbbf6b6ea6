//! Ways around what a listener asks of its clients, and renewals that go wrong.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use crate::support::{Ca, Client, Edge, Endpoint, eventually};

use super::{Site, get};

async fn mutual(site: &Site, endpoint: &Endpoint) -> (Edge, Arc<rustls::ClientConfig>) {
    let clients = Ca::new("clients");
    let ca = clients.write(site.folder.path(), "clients.pem");
    let tls = format!(
        "certificates: [{}], client_auth: {{ mode: optional, ca: {} }}",
        site.certificates(&["a.example"]),
        ca.display()
    );
    let filters = "[{ request_headers: { set: { X-Subject: '{client_cert_subject}' } } }]";
    let edge = site.edge_with(endpoint, &tls, filters).await;
    let worker = clients.issue(&["worker.example"]);
    (edge, Arc::new(site.ca.client_with(&[], Some(&worker))))
}

#[tokio::test]
async fn spelled_with_an_underscore_a_claim_does_not_pass_either() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::answering("hello").await;
    let (edge, _) = mutual(&site, &endpoint).await;
    let mut client = Client::secure(edge.address(), "a.example", &site.client()).await.unwrap();
    client.send("GET / HTTP/1.1\r\nHost: a.example\r\nX_Subject: CN=root\r\n\r\n").await;
    assert_eq!(client.response().await.status, 200);
    assert_eq!(endpoint.last().header("x_subject"), None);
}

#[tokio::test]
async fn a_client_cannot_take_off_what_is_told_of_it() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::answering("hello").await;
    let (edge, worker) = mutual(&site, &endpoint).await;
    for options in ["X-Subject", "close, x-subject"] {
        let mut client = Client::secure(edge.address(), "a.example", &worker).await.unwrap();
        client.send(format!("GET / HTTP/1.1\r\nHost: a.example\r\nConnection: {options}\r\n\r\n")).await;
        assert_eq!(client.response().await.status, 200);
        assert_eq!(endpoint.last().header("x-subject"), Some("CN=worker.example"), "{options}");
        assert!(endpoint.last().header("x-forwarded-for").is_some(), "{options}");
    }
}

#[tokio::test]
async fn a_client_that_says_nothing_at_all_does_not_hold_a_drain_up() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::answering("hello").await;
    let edge = site.edge(&endpoint, &format!("certificates: [{}]", site.certificates(&["a.example"]))).await;
    let (_, status) = get(&edge, "a.example", &site.client()).await.unwrap();
    assert_eq!(status, 200);
    let _silent = TcpStream::connect(edge.address()).await.unwrap();
    // Accepted after the silent one, so that both are.
    let (_, status) = get(&edge, "a.example", &site.client()).await.unwrap();
    assert_eq!(status, 200);
    timeout(Duration::from_secs(3), edge.stop()).await.expect("drains in time");
}

async fn shown(edge: &Edge, site: &Site, host: &str) -> Vec<u8> {
    let client = Client::secure(edge.address(), host, &site.client()).await.unwrap();
    let (stream, _) = client.into_parts();
    stream.get_ref().1.peer_certificates().unwrap()[0].to_vec()
}

#[tokio::test]
async fn a_renewal_that_keeps_the_date_and_the_length_is_seen() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::answering("hello").await;
    let path = |file: &str| site.folder.path().join(file);
    let date = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    for file in ["a.example.pem", "a.example.key"] {
        padded(&path(file), &fs::read_to_string(path(file)).unwrap(), date);
    }
    let edge = site.edge(&endpoint, &format!("certificates: [{}]", site.certificates(&["a.example"]))).await;
    // The first may be seen because the edge has not looked yet.
    for _ in 0..2 {
        let renewed = site.ca.issue(&["a.example"]);
        padded(&path("a.example.pem"), &renewed.cert_pem, date);
        padded(&path("a.example.key"), &renewed.key_pem, date);
        eventually("clients are shown the new one", async || {
            shown(&edge, &site, "a.example").await == renewed.der().as_ref()
        })
        .await;
    }
}

/// Writes 4096 bytes in place with this date.
fn padded(path: &Path, text: &str, date: SystemTime) {
    fs::write(path, format!("{text:\n<4096}")).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(date).unwrap();
}

#[tokio::test]
async fn a_certificate_that_becomes_valid_soon_is_taken_over_then() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::answering("hello").await;
    let edge = site.edge(&endpoint, &format!("certificates: [{}]", site.certificates(&["a.example"]))).await;
    // The authority's clock is a few seconds ahead.
    let soon = SystemTime::now() + Duration::from_secs(4);
    let renewed = site.ca.issue_with(&["a.example"], |params| params.not_before = soon.into());
    renewed.write(site.folder.path(), "a.example");
    eventually("clients are shown the new one", async || {
        shown(&edge, &site, "a.example").await == renewed.der().as_ref()
    })
    .await;
}

#[tokio::test]
async fn one_certificate_that_expires_does_not_keep_the_others_from_renewal() {
    let site = Site::with(&["b.example"]);
    let soon = SystemTime::now() + Duration::from_secs(4);
    let expiring = site.ca.issue_with(&["a.example"], |params| params.not_after = soon.into());
    expiring.write(site.folder.path(), "a.example");
    let endpoint = Endpoint::answering("hello").await;
    let certificates = site.certificates(&["a.example", "b.example"]);
    let edge = site.edge(&endpoint, &format!("certificates: [{certificates}]")).await;
    eventually("the other one has expired", async || SystemTime::now() > soon + Duration::from_secs(1)).await;
    let renewed = site.ca.issue(&["b.example"]);
    renewed.write(site.folder.path(), "b.example");
    eventually("clients are shown the new one", async || {
        shown(&edge, &site, "b.example").await == renewed.der().as_ref()
    })
    .await;
}

#[tokio::test]
async fn hosts_of_others_are_not_reached_in_any_form() {
    let site = Site::with(&["open.example", "admin.example"]);
    let ca = Ca::new("clients").write(site.folder.path(), "clients.pem");
    let endpoint = Endpoint::answering("hello").await;
    let tls = format!(
        "certificates: [{}], hosts: {{ admin.example: {{ client_auth: {{ mode: require, ca: {} }} }}, \
         '*.admin.example': {{ client_auth: {{ mode: require, ca: {} }} }} }}",
        site.certificates(&["open.example", "admin.example"]),
        ca.display(),
        ca.display(),
    );
    site.add("wild", &["*.admin.example"]);
    let tls =
        tls.replacen("certificates: [", &format!("certificates: [{}, ", site.certificates(&["wild"])), 1);
    let edge = site.edge(&endpoint, &tls).await;
    for (request, expected) in [
        ("GET http://admin.example/ HTTP/1.1\r\nHost: open.example\r\n\r\n", vec![400, 421]),
        ("GET https://admin.example/ HTTP/1.1\r\nHost: admin.example\r\n\r\n", vec![421]),
        ("GET / HTTP/1.1\r\nHost: admin.example..\r\n\r\n", vec![400, 421]),
        ("GET / HTTP/1.1\r\nHost: ..admin.example\r\n\r\n", vec![400, 421]),
        ("GET / HTTP/1.1\r\nHost: .admin.example\r\n\r\n", vec![400, 421]),
        ("GET / HTTP/1.1\r\nHost: x.y.admin.example\r\n\r\n", vec![421]),
        ("GET / HTTP/1.1\r\nHost: open.example\r\nHost: admin.example\r\n\r\n", vec![400]),
        ("GET / HTTP/1.0\r\nHost: admin.example\r\n\r\n", vec![421]),
        ("OPTIONS * HTTP/1.1\r\nHost: admin.example\r\n\r\n", vec![204, 421]),
    ] {
        let mut client = Client::secure(edge.address(), "open.example", &site.client()).await.unwrap();
        client.send(request).await;
        let status = client.response().await.status;
        assert!(expected.contains(&status), "{status} {request}");
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_let_go_at_the_end_of_an_answer_too() {
    let site = Site::with(&["a.example"]);
    let endpoint = Endpoint::with(|request| {
        let size: usize = request.path()[1..].parse().unwrap();
        format!("HTTP/1.1 200 OK\r\nContent-Length: {size}\r\n\r\n{}", "x".repeat(size))
    })
    .await;
    let pool = endpoint.address();
    let edge = Edge::start(&format!(
        "listeners:\n  web: {{ bind: 'unix:DIR/s', limits: {{ send_idle: 1s }}, tls: {{ certificates: [{}] }} }}\n\
         pools: {{ app: {{ endpoints: [{pool}] }} }}\n\
         routes: [{{ pool: app }}]\n",
        site.certificates(&["a.example"])
    ))
    .await;
    let connector = tokio_rustls::TlsConnector::from(site.client());
    let mut stuck = Vec::new();
    for size in (60_000..260_000usize).step_by(1000) {
        let stream = UnixStream::connect(edge.folder().join("s")).await.unwrap();
        let mut client = connector.connect("a.example".try_into().unwrap(), stream).await.unwrap();
        let request = format!("GET /{size} HTTP/1.1\r\nHost: a.example\r\nConnection: close\r\n\r\n");
        client.write_all(request.as_bytes()).await.unwrap();
        client.flush().await.unwrap();
        stuck.push(client);
    }
    // None of the clients reads, and some answers end where the socket's buffer does.
    timeout(Duration::from_secs(10), edge.stop()).await.expect("all are let go");
    drop(stuck);
}
