use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::{Deserialize, Deserializer, Serialize};

use crate::config::spec::ranges::optional_whole;
use crate::config::spec::shapes::text_or_map;
use crate::types::{EndpointAddr, InvalidAddress, Weight, ZoneName};

/// A member of a pool: its address, or a map.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct EndpointSpec {
    /// Where it answers: `IP:PORT`, `[IPV6]:PORT` or `unix:PATH`.
    pub address: EndpointAddr,
    /// Its share, relative to the others.
    pub weight: Weight,
    /// So many requests may be in flight; `None` means as many as the pool says.
    pub max_requests: Option<u32>,
    /// Where it stands.
    pub zone: Option<ZoneName>,
    /// Whether it serves only while no other endpoint is fit, or none has room.
    pub backup: bool,
}

/// A member of a pool, written as a map.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct EndpointMap {
    /// Where it answers: `IP:PORT`, `[IPV6]:PORT` or `unix:PATH`.
    address: EndpointAddr,
    /// Its share of the pool, relative to the others: 1 to 1000, or 0 for no new work. Default: 1.
    #[serde(default)]
    weight: Weight,
    /// So many requests may be in flight here, 1 to 1000000. Default: the pool's `max_requests`.
    #[serde(default, deserialize_with = "optional_whole::<1, 1_000_000, _, _>")]
    #[schemars(range(min = 1, max = 1_000_000))]
    max_requests: Option<u32>,
    /// Where it stands. Endpoints of the own zone (`server.zone`) are preferred. Default: nowhere in particular.
    #[serde(default)]
    zone: Option<ZoneName>,
    /// Whether it serves only while no other endpoint is fit, or none has room.
    #[serde(default)]
    backup: bool,
}

impl From<EndpointMap> for EndpointSpec {
    fn from(map: EndpointMap) -> Self {
        let EndpointMap { address, weight, max_requests, zone, backup } = map;
        Self { address, weight, max_requests, zone, backup }
    }
}

impl FromStr for EndpointSpec {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let address = text.parse()?;
        Ok(Self { address, weight: Weight::default(), max_requests: None, zone: None, backup: false })
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
