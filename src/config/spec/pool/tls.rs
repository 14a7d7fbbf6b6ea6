use std::borrow::Cow;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::spec::shapes::switch_or_map;
use crate::types::{HostPattern, text_leaf};

/// TLS towards endpoints: `true` for the defaults, or a map.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PoolTlsSpec(pub Option<PoolTls>);

/// TLS 1.2 and 1.3 towards endpoints.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct PoolTls {
    /// The name that endpoints are asked for, and that their certificates have to hold. Default: the IP address of each
    /// endpoint; endpoints on Unix sockets need a name.
    pub sni: Option<ServerNameSpec>,
    /// A PEM file with the authorities that endpoints' certificates have to be from. Default: those that this machine
    /// trusts.
    pub ca: Option<PathBuf>,
    /// A PEM file with the certificate, and its chain, that endpoints are shown. Default: none.
    pub cert: Option<PathBuf>,
    /// A PEM file with its private key.
    pub key: Option<PathBuf>,
    /// Whether endpoints' certificates are verified. `false` hands every request to whoever answers at the address.
    pub verify: bool,
}

impl Default for PoolTls {
    fn default() -> Self {
        Self { sni: None, ca: None, cert: None, key: None, verify: true }
    }
}

impl<'de> Deserialize<'de> for PoolTlsSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        switch_or_map(deserializer, "true, false, or a map like `{ sni: api.internal }`").map(Self)
    }
}

impl JsonSchema for PoolTlsSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "PoolTls".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let map = generator.subschema_for::<PoolTls>();
        json_schema!({ "anyOf": [{ "type": "boolean" }, map] })
    }
}

/// A host name or an IP address, as certificates hold them; in lower case.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ServerNameSpec(pub Box<str>);

/// Not a name of one server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no host name and no IP address, like `api.internal`")]
pub struct InvalidServerName(String);

impl FromStr for ServerNameSpec {
    type Err = InvalidServerName;

    fn from_str(text: &str) -> Result<Self, InvalidServerName> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self(ip.to_string().into()));
        }
        match text.parse() {
            Ok(HostPattern::Exact(host)) => Ok(Self(host.as_str().into())),
            _ => Err(InvalidServerName(text.to_owned())),
        }
    }
}

impl std::fmt::Display for ServerNameSpec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(ServerNameSpec, "a host name or an IP address", "api.internal");

/// The version of HTTP that endpoints are spoken to with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UpstreamProtocol {
    /// HTTP/1.1.
    #[default]
    H1,
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/2 without TLS, by prior knowledge.
    H2c,
    /// What an endpoint chooses by ALPN, HTTP/2 first; needs `tls`.
    Auto,
}

/// Whether endpoints are told the client's address by a PROXY header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SendProxyProtocol {
    /// They are not.
    #[default]
    Off,
    /// By a line of text.
    V1,
    /// In binary.
    V2,
}
