use std::path::PathBuf;

use schemars::JsonSchema;
use serde::de::{Deserializer, Error};
use serde::{Deserialize, Serialize};

use crate::types::{HostPattern, Span, TlsVersion};

use super::NamedMap;

/// TLS 1.2 and 1.3, ended by the listener. HTTP/2 and HTTP/1.1 are offered by ALPN, as `http.versions` has them.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListenerTlsSpec {
    /// The certificates, each for the names that it holds, exact ones before wildcards. A name may have one with an ECDSA
    /// key and one with an RSA key; clients get the former if they know it. The first serves clients that name no
    /// known host. At least one. The files are watched: a change is taken over within seconds, without a reload.
    pub certificates: Vec<CertificateSpec>,
    /// What clients get whose server name no certificate holds: the first certificate, or an `unrecognized_name` alert.
    #[serde(default)]
    pub unknown_sni: UnknownSni,
    /// The oldest version that is spoken, "1.2" or "1.3".
    #[serde(default)]
    pub min_version: TlsVersion,
    /// Whether clients show certificates of their own.
    #[serde(default)]
    pub client_auth: ClientAuthSpec,
    /// What differs for single hosts, which are chosen by the server name; exact ones before wildcards. A request on
    /// such a host's connection for a host with another `client_auth` is answered with 421.
    #[serde(default)]
    pub hosts: NamedMap<HostPattern, HostTlsSpec>,
    /// How clients resume sessions without a full handshake.
    #[serde(default)]
    pub tickets: TicketsSpec,
}

/// A certificate and its key.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateSpec {
    /// A PEM file with the certificate and those of the authorities between it and the root, in this order.
    pub cert: PathBuf,
    /// A PEM file with its private key: PKCS#8, PKCS#1 or SEC1, without a passphrase.
    pub key: PathBuf,
    /// A file with an OCSP response (DER) that is stapled to the certificate. Default: none.
    #[serde(default)]
    pub ocsp: Option<PathBuf>,
}

/// What clients get whose server name no certificate holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UnknownSni {
    /// The first certificate.
    #[default]
    Default,
    /// An alert.
    Reject,
}

/// Whether clients show certificates of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClientAuthSpec {
    /// `off`, `optional` (a certificate that is shown has to be good) or `require`.
    pub mode: ClientAuthMode,
    /// A PEM file with the authorities that clients' certificates have to be from. Needed unless `mode` is `off`.
    pub ca: Option<PathBuf>,
}

/// Whether clients show certificates of their own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClientAuthMode {
    /// They are not asked for any.
    #[default]
    Off,
    /// They are asked, and may show none.
    Optional,
    /// Without one there is no connection.
    Require,
}

/// What differs for one host of a listener.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostTlsSpec {
    /// Whether its clients show certificates of their own.
    pub client_auth: ClientAuthSpec,
}

/// How clients resume sessions: with tickets that only this edge can read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct TicketsSpec {
    /// How long one key encrypts tickets, 1m to 7d; it decrypts for twice as long again. `0s` switches tickets off.
    #[serde(deserialize_with = "rotation")]
    pub rotate: Span,
}

impl Default for TicketsSpec {
    fn default() -> Self {
        Self { rotate: Span::from_secs(12 * 3600) }
    }
}

fn rotation<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Span, D::Error> {
    let (shortest, longest) = (Span::from_secs(60), Span::from_secs(7 * 24 * 3600));
    let rotate = Span::deserialize(deserializer)?;
    if rotate.is_zero() || (shortest..=longest).contains(&rotate) {
        return Ok(rotate);
    }
    Err(D::Error::custom(format_args!(
        "`{rotate}` is out of range; {shortest} to {longest}, or 0s, are allowed"
    )))
}
