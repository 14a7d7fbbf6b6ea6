use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, HeaderName};

use crate::config;
use crate::config::spec::{HttpVersion, HttpsPort, Limits, TrustedProxy};
use crate::tls::Termination;
use crate::types::{BindAddr, ListenerName, Rarely};

const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// A listener as connections see it.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Its place in the configuration, by which routes name it.
    pub(crate) index: usize,
    pub(crate) name: ListenerName,
    pub(crate) binds: Vec<BindAddr>,
    pub(crate) limits: Limits,
    pub(crate) h2_streams: u32,
    /// Ends TLS.
    pub(crate) tls: Option<Arc<Termination>>,
    /// Handshakes that failed.
    pub(crate) handshakes_told: Rarely,
    /// Who alone may connect, and has to begin with a PROXY header; `None` where nobody does.
    proxies: Option<Vec<TrustedProxy>>,
    redirect_https: Option<HttpsPort>,
    versions: Vec<HttpVersion>,
}

impl Listener {
    pub(crate) fn new(index: usize, config: &config::Listener, tls: Option<Arc<Termination>>) -> Self {
        Self {
            index,
            name: config.name.clone(),
            binds: config.binds.clone(),
            limits: config.limits.clone(),
            h2_streams: config.http.h2_streams,
            tls,
            handshakes_told: Rarely::default(),
            proxies: config.proxy_protocol_from.clone(),
            redirect_https: config.redirect_https,
            versions: config.http.versions.clone(),
        }
    }

    /// Whether connections begin with a PROXY header.
    pub(crate) fn expects_proxy_header(&self) -> bool {
        self.proxies.is_some()
    }

    /// Whether a connection from there may begin at all; `None` for one on a Unix socket.
    pub(crate) fn admits(&self, peer: Option<IpAddr>) -> bool {
        self.proxies.as_ref().is_none_or(|proxies| proxies.iter().any(|proxy| proxy.is(peer)))
    }

    pub(crate) fn serves(&self, version: HttpVersion) -> bool {
        self.versions.contains(&version)
    }

    /// Where a request is sent that came without TLS; `None` where it is served. Of the `headers` those that the client may
    /// not say are gone, so that what a trusted proxy has taken over TLS is known.
    pub(crate) fn https_url(&self, host: &str, target: &str, headers: &HeaderMap) -> Option<String> {
        let HttpsPort { port } = self.redirect_https?;
        if headers.get(X_FORWARDED_PROTO).is_some_and(|scheme| scheme == "https") {
            return None;
        }
        let port = if port.get() == 443 { String::new() } else { format!(":{port}") };
        Some(format!("https://{host}{port}{target}"))
    }

    /// The longest request line: a quarter of the header, 8 KiB with the defaults.
    pub(crate) fn max_request_line(&self) -> usize {
        self.limits.header.size.as_usize() / 4
    }
}
