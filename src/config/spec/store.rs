use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{RedisAddr, Span};

use super::SecretSpec;
use super::ranges::{span, whole};

/// Where several processes keep what they have to know together. It has so long to answer, and no longer: filters that
/// use it say what they do when it is slow or gone.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StoreSpec {
    /// A Redis, of version 5 or later, that is no cluster: `redis://HOST:PORT/DATABASE`, `rediss://` for the same over TLS, or
    /// `unix:PATH` for one behind a Unix socket. Port 6379 and database 0 may be left out.
    pub redis: RedisAddr,
    /// A PEM file with the authorities that the certificate of a `rediss://` has to be from. Default: those that this machine
    /// trusts.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// The user whose password it is. Default: Redis' default one.
    #[serde(default)]
    pub user: Option<String>,
    /// The password. Default: none is sent.
    #[serde(default)]
    pub password: Option<SecretSpec>,
    /// How long a request waits for the store, 1ms to 100ms.
    #[serde(default = "StoreSpec::default_timeout", deserialize_with = "span::<1, 100, _>")]
    pub timeout: Span,
    /// How many connections all requests share, 1 to 16. One does for tens of thousands of requests a second.
    #[schemars(range(min = 1, max = 16))]
    #[serde(default = "StoreSpec::default_connections", deserialize_with = "whole::<1, 16, _, _>")]
    pub connections: u8,
}

impl StoreSpec {
    fn default_timeout() -> Span {
        Span::from_millis(5)
    }

    fn default_connections() -> u8 {
        2
    }
}
