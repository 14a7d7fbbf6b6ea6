use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::WebPkiClientVerifier;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::{Ca, Edge, Endpoint, H2Endpoint, Issued, Response, TlsFront, eventually};

use super::health::{PACE, spied};
use super::{GET, fleet};

const NAME: &str = "api.internal";

/// An authority, a certificate of it, and a folder with both: `ca.pem`, `site.pem` and `site.key`.
struct Site {
    ca: Ca,
    issued: Issued,
    folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let (ca, folder) = (Ca::new("Fleet"), tempfile::tempdir().unwrap());
        let issued = ca.issue(&[NAME, "127.0.0.1"]);
        ca.write(folder.path(), "ca.pem");
        issued.write(folder.path(), "site");
        Self { ca, issued, folder }
    }

    fn server(&self) -> ServerConfig {
        self.issued.server(&["h2", "http/1.1"])
    }

    /// A server that has clients show a certificate of the same authority, if they have to.
    fn asking_server(&self, requires: bool) -> ServerConfig {
        let verifier = WebPkiClientVerifier::builder(Arc::new(self.ca.roots()));
        let verifier = if requires { verifier } else { verifier.allow_unauthenticated() };
        let chain = vec![self.issued.der().clone()];
        let key = rustls::pki_types::pem::PemObject::from_pem_slice(self.issued.key_pem.as_bytes()).unwrap();
        let config = ServerConfig::builder().with_client_cert_verifier(verifier.build().unwrap());
        let mut config = config.with_single_cert(chain, key).unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }

    fn path(&self, file: &str) -> String {
        self.folder.path().join(file).to_str().unwrap().to_owned()
    }

    /// The settings that name the authority and, with further keys, the rest.
    fn tls(&self, keys: &str) -> String {
        format!("tls: {{ ca: '{}', {keys} }},", self.path("ca.pem"))
    }

    fn identity(&self) -> String {
        format!("cert: '{}', key: '{}'", self.path("site.pem"), self.path("site.key"))
    }
}

fn assert_tls_failed(response: &Response, error: &str) {
    assert_eq!(response.status, 502);
    let status = response.header("proxy-status").unwrap();
    assert!(
        status.contains(&format!("error={error}")) && status.contains("details=\"tls_failed\""),
        "{status}"
    );
}

#[tokio::test]
async fn a_request_goes_over_tls_to_an_endpoint_that_proves_its_name() {
    let site = Site::new();
    let endpoint = Endpoint::answering("safe").await;
    let front = TlsFront::new(site.server(), endpoint.address()).await;
    let edge = Edge::start(&fleet(&site.tls("sni: api.internal"), &[&front.address()])).await;
    for _ in 0..3 {
        assert_eq!(edge.get("/").await.text(), "safe");
    }
    // One connection, kept, by the version that is the default.
    let [handshake] = front.handshakes().try_into().unwrap();
    assert_eq!(handshake.name.as_deref(), Some(NAME));
    assert_eq!(handshake.protocol.as_deref(), Some("http/1.1"));
    assert_eq!(handshake.client, None);
}

#[tokio::test]
async fn without_a_name_the_address_is_what_has_to_be_proved() {
    let site = Site::new();
    let endpoint = Endpoint::answering("safe").await;
    let front = TlsFront::new(site.server(), endpoint.address()).await;
    let edge = Edge::start(&fleet(&site.tls(""), &[&front.address()])).await;
    assert_eq!(edge.get("/").await.status, 200);
    assert_eq!(front.handshakes()[0].name, None);
    let elsewhere = site.ca.issue(&["127.0.0.2"]).server(&[]);
    let front = TlsFront::new(elsewhere, endpoint.address()).await;
    let edge = Edge::start(&fleet(&site.tls(""), &[&front.address()])).await;
    assert_tls_failed(&edge.get("/").await, "tls_certificate_error");
}

#[tokio::test]
async fn a_certificate_of_another_authority_or_name_is_refused_before_anything_is_sent() {
    let (site, other) = (Site::new(), Site::new());
    let endpoint = Endpoint::answering("never").await;
    let front = TlsFront::new(site.server(), endpoint.address()).await;
    for tls in [other.tls("sni: api.internal"), site.tls("sni: other.internal"), "tls: true,".to_owned()] {
        let edge =
            Edge::start(&fleet(&format!("retry: {{ attempts: 0 }}, {tls}"), &[&front.address()])).await;
        assert_tls_failed(&edge.get("/").await, "tls_certificate_error");
        assert_eq!(edge.log_of(1).await[0]["cause"], "tls_failed", "{tls}");
    }
    assert!(endpoint.requests().is_empty());
    let edge = Edge::start(&fleet("tls: { verify: false },", &[&front.address()])).await;
    assert_eq!(edge.get("/").await.status, 200);
}

#[tokio::test]
async fn an_endpoint_that_speaks_no_tls_is_told_apart() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
            let _ = stream.read(&mut [0; 1024]).await;
        }
    });
    let site = Site::new();
    let edge = Edge::start(&fleet(&site.tls(""), &[&address])).await;
    assert_tls_failed(&edge.get("/").await, "tls_protocol_error");
}

#[tokio::test]
async fn an_endpoint_may_ask_for_a_certificate() {
    let site = Site::new();
    let endpoint = Endpoint::answering("hello").await;
    let front = TlsFront::new(site.asking_server(true), endpoint.address()).await;
    let edge = Edge::start(&fleet(&site.tls(&site.identity()), &[&front.address()])).await;
    assert_eq!(edge.get("/").await.text(), "hello");
    assert_eq!(front.handshakes()[0].client.as_deref(), Some(&site.issued.der()[..]));
    let edge = Edge::start(&fleet(&site.tls(""), &[&front.address()])).await;
    assert_tls_failed(&edge.get("/").await, "tls_protocol_error");
    assert_eq!(endpoint.requests().len(), 1);
}

#[tokio::test]
async fn a_handshake_has_its_limit() {
    let site = Site::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    for limit in ["handshake: 200ms", "connect: 200ms"] {
        let timeouts = format!("retry: {{ attempts: 0 }}, timeouts: {{ {limit} }}, {}", site.tls(""));
        let edge = Edge::start(&fleet(&timeouts, &[&address])).await;
        assert_eq!(edge.get("/").await.status, 504, "{limit}");
        assert_eq!(edge.log_of(1).await[0]["cause"], "connect_timeout", "{limit}");
    }
}

#[tokio::test]
async fn a_handshake_that_fails_leads_elsewhere_whatever_the_method() {
    let (site, other) = (Site::new(), Site::new());
    let endpoint = Endpoint::answering("good").await;
    let good = TlsFront::new(site.server(), endpoint.address()).await;
    let bad = TlsFront::new(other.server(), endpoint.address()).await;
    let pool = format!("balance: round_robin, outlier: {{ consecutive: 2 }}, panic: 0%, {}", site.tls(""));
    let edge = Edge::start(&fleet(&pool, &[&bad.address(), &good.address()])).await;
    for _ in 0..8 {
        let post = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi";
        assert_eq!(edge.send(post).await.text(), "good");
    }
    // It was left out after two failures.
    let attempts: u64 = edge.log_of(8).await.iter().map(|line| line["attempts"].as_u64().unwrap()).sum();
    assert_eq!(attempts, 10);
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let site = Site::new();
    let dir = site.folder.path();
    site.ca.issue(&["other"]).write(dir, "other");
    let config = |keys: &str| {
        let config = fleet(&format!("tls: {{ {keys} }},"), &[&"10.0.0.1:443"]).replace("LOG", "stderr");
        evener::app::App::builder()
            .load_text("test.yaml", dir, &config)
            .map(drop)
            .map_err(|error| error.to_string())
    };
    assert_eq!(config("ca: ca.pem, cert: site.pem, key: site.key"), Ok(()));
    for (keys, at, reason) in [
        ("cert: site.pem, key: other.key", "tls.key", "is not that of the certificate in"),
        ("ca: site.key", "tls.ca", "has no certificate in PEM"),
        ("cert: ca.pem, key: site.pem", "tls.key", "has no private key in PEM"),
    ] {
        let told = config(keys).unwrap_err();
        assert!(told.contains(at) && told.contains(reason), "{keys}: {told}");
    }
}

/// A configuration with two pools of the same endpoint, for `/a` and `/b`.
fn two_pools(one: &str, other: &str, endpoint: std::net::SocketAddr) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools:\n\
         \x20 a: {{ {one} endpoints: ['{endpoint}'] }}\n\
         \x20 b: {{ {other} endpoints: ['{endpoint}'] }}\n\
         routes: [{{ match: {{ path: /a }}, pool: a }}, {{ match: {{ path: /b }}, pool: b }}]\n"
    )
}

#[tokio::test]
async fn pools_that_trust_others_share_no_connection() {
    let (site, other) = (Site::new(), Site::new());
    let endpoint = Endpoint::answering("safe").await;
    let front = TlsFront::new(site.server(), endpoint.address()).await;
    for unverified in ["tls: { verify: false },".to_owned(), site.tls("")] {
        let edge = Edge::start(&two_pools(&unverified, &other.tls(""), front.address())).await;
        for _ in 0..2 {
            assert_eq!(edge.get("/a").await.status, 200);
            assert_tls_failed(&edge.get("/b").await, "tls_certificate_error");
        }
    }
}

#[tokio::test]
async fn pools_that_show_others_share_no_connection() {
    let site = Site::new();
    // The same serial number, which is all that Pingora compares.
    let serial = |params: &mut rcgen::CertificateParams| params.serial_number = Some(7.into());
    for name in ["one", "two"] {
        site.ca.issue_with(&[name], serial).write(site.folder.path(), name);
    }
    let shows = |name: &str| {
        site.tls(&format!(
            "cert: '{}', key: '{}'",
            site.path(&format!("{name}.pem")),
            site.path(&format!("{name}.key"))
        ))
    };
    let endpoint = Endpoint::answering("safe").await;
    let front = TlsFront::new(site.asking_server(false), endpoint.address()).await;
    let edge = Edge::start(&two_pools(&shows("one"), &shows("two"), front.address())).await;
    let nobody = Edge::start(&two_pools(&shows("one"), &site.tls(""), front.address())).await;
    for edge in [&edge, &nobody] {
        for path in ["/a", "/b", "/a", "/b"] {
            assert_eq!(edge.get(path).await.status, 200);
        }
    }
    let clients: Vec<_> = front.handshakes().into_iter().map(|handshake| handshake.client).collect();
    assert_eq!(clients.len(), 4);
    assert!(clients[0] != clients[1] && clients[0] == clients[2] && clients[3].is_none());
}

#[tokio::test]
async fn pools_that_speak_other_versions_share_no_connection() {
    let site = Site::new();
    let endpoint = H2Endpoint::secured(Arc::new(site.issued.server(&["h2"])), |mut exchange| async move {
        exchange.reply(200, "second");
    })
    .await;
    let h2 = |protocol: &str| format!("protocol: {protocol}, {}", site.tls(""));
    let edge = Edge::start(&two_pools(&h2("h2"), &h2("auto"), endpoint.address())).await;
    assert_eq!(edge.get("/a").await.text(), "second");
    assert_eq!(edge.get("/b").await.text(), "second");
    assert_eq!(endpoint.connections(), 2);
}

#[tokio::test]
async fn probes_go_over_the_pools_tls() {
    let (site, other) = (Site::new(), Site::new());
    let endpoint = Endpoint::answering("well").await;
    let front = TlsFront::new(site.asking_server(true), endpoint.address()).await;
    let plain = Endpoint::answering("well").await;
    for check in ["http: { contains: well }", "tls: {}"] {
        let pool = |tls: String| format!("panic: 0%, {tls} health: {{ {check}, {PACE} }},");
        let good = pool(site.tls(&format!("sni: api.internal, {}", site.identity())));
        let (spy, _edge) = spied(&good, &[&front.address(), &plain.address()]).await;
        eventually(check, async || spy.fit() == [front.address().to_string()]).await;
        let wrong = pool(other.tls(&format!("sni: api.internal, {}", site.identity())));
        let (_, edge) = spied(&wrong, &[&front.address()]).await;
        assert_eq!(edge.send(GET).await.status, 503, "{check}");
    }
    assert!(front.handshakes().iter().all(|handshake| handshake.name.as_deref() == Some(NAME)));
    assert!(front.handshakes().iter().all(|handshake| handshake.client.is_some()));
}

#[tokio::test]
async fn probes_of_a_pool_of_http2_speak_it() {
    let site = Site::new();
    let script = |mut exchange: crate::support::H2Exchange| async move {
        let is_probe = exchange.head.headers()["user-agent"] == "evener-health-check";
        let is_over_tls = exchange.head.uri().scheme_str() == Some("https");
        exchange.reply(
            if is_probe && exchange.path() == "/up" { 200 } else { 404 },
            if is_over_tls { "safe" } else { "plain" },
        );
    };
    let safe = H2Endpoint::secured(Arc::new(site.issued.server(&["h2"])), script).await;
    let plain = H2Endpoint::scripted(script).await;
    let h2 = format!("protocol: h2, {}", site.tls(""));
    for (keys, endpoint, text) in [(h2.as_str(), &safe, "safe"), ("protocol: h2c,", &plain, "plain")] {
        let health = format!("health: {{ http: {{ path: /up, contains: {text} }}, {PACE} }}");
        let (spy, _edge) = spied(&format!("panic: 0%, {keys} {health},"), &[&endpoint.address()]).await;
        eventually(keys, async || spy.fit().len() == 1).await;
    }
}
