use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer};

use crate::config::spec::shapes::text_or_map;
use crate::types::{EndpointAddr, InvalidAddress, Weight};

/// A member of a pool: its address, or a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndpointSpec {
    /// Where it answers: `IP:PORT`, `[IPV6]:PORT` or `unix:PATH`.
    pub address: EndpointAddr,
    /// Its share, relative to the others.
    pub weight: Weight,
}

/// A member of a pool, written as a map.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EndpointMap {
    /// Where it answers: `IP:PORT`, `[IPV6]:PORT` or `unix:PATH`.
    address: EndpointAddr,
    /// Its share of the pool, relative to the others: 1 to 1000. Default: 1.
    #[serde(default)]
    weight: Weight,
}

impl From<EndpointMap> for EndpointSpec {
    fn from(map: EndpointMap) -> Self {
        Self { address: map.address, weight: map.weight }
    }
}

impl FromStr for EndpointSpec {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        Ok(Self { address: text.parse()?, weight: Weight::default() })
    }
}

impl<'de> Deserialize<'de> for EndpointSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, EndpointMap, _>(
            deserializer,
            "an address like 10.0.0.7:8080, or a map with `address`",
        )
    }
}

impl JsonSchema for EndpointSpec {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Endpoint".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        EndpointMap::json_schema(generator)
    }
}
