use std::time::{Duration, SystemTime};

use crate::config::spec::HttpVersion;
use crate::types::TlsVersion;

/// What the handshake of a client's connection came to.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TlsSession {
    /// The version that is spoken.
    pub version: TlsVersion,
    /// The host that the client named (SNI), in lower case and without a closing dot. It was a host name when it was
    /// read; a request on this connection may still be for another host.
    pub server_name: Option<Box<str>>,
    /// What ALPN settled on; `None` for clients that offered nothing.
    pub alpn: Option<HttpVersion>,
    /// Whether an earlier session went on, without a full handshake.
    pub is_resumed: bool,
    /// The client's certificate, verified against the authorities of the listener or host: at the handshake, and
    /// again when its session was resumed.
    pub client_cert: Option<ClientCert>,
}

/// A client's certificate.
///
/// All texts are printable ASCII, so that each can be the value of a header: other bytes, and what would end a text
/// or an item of a list too early, are written as `\` and two hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ClientCert {
    /// Whom it is for, as RFC 4514 writes it: `CN=worker-7,OU=Batch,O=Example`.
    pub subject: String,
    /// The alternative names that are texts or addresses, in their order: `DNS:worker-7.example`,
    /// `URI:spiffe://example/worker`, `email:ops@example.com`, `IP:10.0.0.7`. Commas within are escaped.
    pub sans: Vec<String>,
    /// The SHA-256 of the certificate as DER, in 64 lower-case hexadecimal digits.
    pub fingerprint: String,
    /// Its serial number, in lower-case hexadecimal digits, two for each byte.
    pub serial: String,
    /// When it expires.
    pub not_after: SystemTime,
}

impl ClientCert {
    /// A certificate of which nothing is known but its subject, for tests of hooks. It expires in the year 2100.
    pub fn new(subject: impl Into<String>) -> Self {
        let (sans, fingerprint, serial) = (Vec::new(), String::new(), String::new());
        let not_after = SystemTime::UNIX_EPOCH + Duration::from_secs(4_102_444_800);
        Self { subject: subject.into(), sans, fingerprint, serial, not_after }
    }
}

impl TlsSession {
    /// A session of a client that has shown no more than that, for tests of hooks.
    pub fn new(version: TlsVersion) -> Self {
        Self { version, server_name: None, alpn: None, is_resumed: false, client_cert: None }
    }
}
