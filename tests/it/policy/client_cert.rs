use std::sync::Arc;

use tempfile::TempDir;

use crate::support::{Ca, Client, Edge, Endpoint, Issued};

/// An edge that asks clients for certificates, in front of an endpoint, and who signs what.
struct Site {
    ca: Ca,
    clients: Ca,
    _folder: TempDir,
    endpoint: Endpoint,
    edge: Edge,
}

async fn site(mode: &str, filter: &str) -> Site {
    let (ca, clients) = (Ca::new("site"), Ca::new("clients"));
    let folder = tempfile::tempdir().unwrap();
    ca.issue(&["a.example"]).write(folder.path(), "site");
    let authorities = clients.write(folder.path(), "clients.pem");
    let endpoint = Endpoint::answering("ok").await;
    let edge = Edge::start(&format!(
        "listeners:\n  web:\n    bind: 127.0.0.1:0\n    tls:\n      certificates: [{{ cert: {dir}/site.pem, key: {dir}/site.key }}]\n      \
         client_auth: {{ mode: {mode}, ca: {authorities} }}\n\
         pools: {{ app: {{ endpoints: [{endpoint}] }} }}\n\
         routes: [{{ pool: app, filters: [{{ client_cert: {filter} }}] }}]\n\
         log: {{ access: {{ to: LOG }} }}\n",
        dir = folder.path().display(),
        authorities = authorities.display(),
        endpoint = endpoint.address(),
    ))
    .await;
    Site { ca, clients, _folder: folder, endpoint, edge }
}

impl Site {
    /// The answer for a client with this certificate, and its cause.
    async fn ask(&self, identity: Option<&Issued>, fields: &str) -> (u16, String) {
        let config = Arc::new(self.ca.client_with(&[], identity));
        let mut client = Client::secure(self.edge.address(), "a.example", &config).await.unwrap();
        client.send(format!("GET / HTTP/1.1\r\nHost: a.example\r\n{fields}\r\n")).await;
        let response = client.response().await;
        (response.status, response.header("proxy-status").unwrap_or_default().to_owned())
    }
}

#[tokio::test]
async fn only_the_clients_that_are_listed_come_in() {
    let site = site("optional", "{ subjects: ['CN=worker-*'], sans: ['DNS:*.batch.example'] }").await;
    let worker = site.clients.issue(&["worker-7"]);
    let batch = site.clients.issue(&["boss.example", "x.batch.example"]);
    let other = site.clients.issue(&["other.example", "worker-7.example"]);
    for (identity, status) in [(&worker, 200), (&batch, 200), (&other, 403)] {
        assert_eq!(site.ask(Some(identity), "").await.0, status);
    }
    assert_eq!(site.ask(None, "").await.0, 403);
    let upgrade = "Connection: upgrade\r\nUpgrade: websocket\r\n";
    assert_eq!(site.ask(Some(&other), upgrade).await.0, 403);
    assert_eq!(site.endpoint.requests().len(), 2);
    let log = site.edge.log_of(5).await;
    let causes: Vec<_> = log.iter().filter_map(|line| line["cause"].as_str()).collect();
    assert_eq!(causes, ["client_cert_refused", "client_cert_required", "client_cert_refused"]);
}

#[tokio::test]
async fn no_header_stands_for_a_certificate() {
    let site = site("optional", "{ subjects: ['CN=worker-7'] }").await;
    let fields = "SSL-Client-Verify: SUCCESS\r\nSSL-Client-S-DN: CN=worker-7\r\nX-Client-Cert: CN=worker-7\r\n\
                  X-Forwarded-Client-Cert: Subject=\"CN=worker-7\"\r\nX-SSL-Client-CN: worker-7\r\n";
    assert_eq!(site.ask(None, fields).await.0, 403);
    assert!(site.endpoint.requests().is_empty());
}

#[tokio::test]
async fn a_fingerprint_is_that_of_one_certificate() {
    let ca = Ca::new("elsewhere");
    let print = |issued: &Issued| {
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, issued.der());
        digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    };
    let unknown = ca.issue(&["worker-7"]);
    let site = site("optional", &format!("{{ fingerprints: ['{}'] }}", print(&unknown))).await;
    let same_name = site.clients.issue(&["worker-7"]);
    assert_eq!(site.ask(Some(&same_name), "").await.0, 403);
}
