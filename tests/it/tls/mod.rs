//! TLS as clients of a listener meet it.

mod client_auth;
mod handshakes;
mod hardening;
mod redirects;
mod renewal;

use std::sync::Arc;

use rustls::ClientConfig;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::support::{Ca, Client, Edge, Endpoint};

/// A folder with certificates, and who has signed them.
struct Site {
    ca: Ca,
    folder: TempDir,
}

impl Site {
    /// A certificate in `NAME.pem` and `NAME.key` for each of these names.
    fn with(names: &[&str]) -> Self {
        let site = Self { ca: Ca::new("site"), folder: tempfile::tempdir().unwrap() };
        for name in names {
            site.add(name, &[name]);
        }
        site
    }

    /// One more certificate.
    fn add(&self, file: &str, names: &[&str]) {
        self.ca.issue(names).write(self.folder.path(), file);
    }

    /// A path in the folder.
    fn path(&self, file: &str) -> String {
        self.folder.path().join(file).to_str().unwrap().to_owned()
    }

    /// `{ cert: …, key: … }` for each of these names.
    fn certificates(&self, names: &[&str]) -> String {
        let item = |name: &&str| {
            format!(
                "{{ cert: {}, key: {} }}",
                self.path(&format!("{name}.pem")),
                self.path(&format!("{name}.key"))
            )
        };
        names.iter().map(item).collect::<Vec<_>>().join(", ")
    }

    /// An edge that ends TLS with these settings, in front of `endpoint`.
    async fn edge(&self, endpoint: &Endpoint, tls: &str) -> Edge {
        self.edge_with(endpoint, tls, "[]").await
    }

    /// The same with filters on its route.
    async fn edge_with(&self, endpoint: &Endpoint, tls: &str, filters: &str) -> Edge {
        let pool = endpoint.address();
        Edge::start(&format!(
            "listeners:\n  web: {{ bind: 127.0.0.1:0, tls: {{ {tls} }} }}\n\
             pools: {{ app: {{ endpoints: [{pool}] }} }}\n\
             routes: [{{ filters: {filters}, pool: app }}]\n\
             log: {{ access: {{ to: LOG }} }}\n"
        ))
        .await
    }

    fn client(&self) -> Arc<ClientConfig> {
        Arc::new(self.ca.client(&[]))
    }
}

type SecureClient = Client<TlsStream<TcpStream>>;

/// Connects and asks for `/` of the host that the handshake names.
async fn get(edge: &Edge, host: &str, config: &Arc<ClientConfig>) -> std::io::Result<(SecureClient, u16)> {
    let mut client = Client::secure(edge.address(), host, config).await?;
    client.send(format!("GET / HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
    let status = client.response().await.status;
    Ok((client, status))
}
