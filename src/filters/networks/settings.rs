use std::fmt;
use std::path::PathBuf;

use http::StatusCode;
use schemars::JsonSchema;
use serde::de::value::{MapAccessDeserializer, SeqAccessDeserializer};
use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::config::spec::StatusSpec;
use crate::hooks::BuildError;
use crate::types::Cidr;

/// Lets in only clients from these networks (`allow`), or keeps them out (`deny`): a list of networks, or a map with these
/// keys. Clients are known by their address; behind other proxies, by what `server.trusted_proxies` may say of them.
#[derive(Clone, Debug, Default, JsonSchema)]
#[schemars(default)]
pub struct NetworksSettings {
    /// The networks: `10.0.0.0/8`, `2001:db8::/32`, or one address.
    pub networks: Vec<Cidr>,
    /// A file with further networks, one a line; what follows a `#` counts for nothing. Up to 1000000, and 16 MiB; when it
    /// changes, it is read again within seconds.
    pub file: Option<PathBuf>,
    /// The status for those who may not come in, 400 to 599. Default: 403.
    pub status: Option<StatusSpec>,
}

/// The same, written as a map.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct NetworksMap {
    networks: Vec<Cidr>,
    file: Option<PathBuf>,
    status: Option<StatusSpec>,
}

impl NetworksSettings {
    pub(super) fn checked_status(&self) -> Result<StatusCode, BuildError> {
        match self.status {
            None => Ok(StatusCode::FORBIDDEN),
            Some(StatusSpec(status)) if status.is_client_error() || status.is_server_error() => Ok(status),
            Some(status) => {
                Err(BuildError::new(format!("`{status}` refuses nobody; 400 to 599 do")).at("status"))
            }
        }
    }
}

impl<'de> Deserialize<'de> for NetworksSettings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct ListOrMap;

        impl<'de> Visitor<'de> for ListOrMap {
            type Value = NetworksSettings;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a list of networks like [10.0.0.0/8], or a map with `networks`, `file` and `status`",
                )
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<NetworksSettings, A::Error> {
                let networks = Vec::deserialize(SeqAccessDeserializer::new(list))?;
                Ok(NetworksSettings { networks, ..NetworksSettings::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<NetworksSettings, A::Error> {
                let NetworksMap { networks, file, status } =
                    NetworksMap::deserialize(MapAccessDeserializer::new(map))?;
                Ok(NetworksSettings { networks, file, status })
            }
        }

        deserializer.deserialize_any(ListOrMap)
    }
}
