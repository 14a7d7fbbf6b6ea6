use std::sync::Arc;

use rustls::{
    ClientConfig,
    client::Resumption,
    crypto::{
        CryptoProvider, SupportedKxGroup,
        aws_lc_rs::{default_provider, kx_group},
    },
    pki_types::ServerName,
    version::TLS13,
};

use super::{certificate::Certificate, tickets::Tickets};
use crate::{request::HOST, support::Outcome};

/// HTTP/1.1, as ALPN calls it.
pub(crate) const HTTP1: &str = "http/1.1";
/// HTTP/2, as ALPN calls it.
pub(crate) const HTTP2: &str = "h2";

/// The one key exchange that a client offers.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Exchange {
    /// What all peers know.
    X25519,
    /// X25519MLKEM768: what recent browsers prefer.
    Hybrid,
}

impl Exchange {
    pub(super) fn group(self) -> &'static dyn SupportedKxGroup {
        match self {
            Self::X25519 => kx_group::X25519,
            Self::Hybrid => kx_group::X25519MLKEM768,
        }
    }
}

/// Clients that speak TLS 1.3, with `alpn`, and put what they need for resumption into `tickets`.
pub(crate) fn config(
    certificate: &Certificate,
    exchange: Exchange,
    alpn: &str,
    tickets: Arc<Tickets>,
) -> Outcome<Arc<ClientConfig>> {
    let provider = CryptoProvider { kx_groups: vec![exchange.group()], ..default_provider() };
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(certificate.roots()?)
        .with_no_client_auth();
    config.resumption = Resumption::store(tickets);
    Ok(with_alpn(&config, alpn))
}

/// The same clients, with another protocol: rustls resumes sessions of the same verifier alone.
pub(super) fn with_alpn(config: &ClientConfig, alpn: &str) -> Arc<ClientConfig> {
    let mut config = config.clone();
    config.alpn_protocols = vec![alpn.as_bytes().to_vec()];
    Arc::new(config)
}

/// The host that clients ask for.
pub(crate) fn server_name() -> Outcome<ServerName<'static>> {
    Ok(ServerName::try_from(HOST)?)
}
