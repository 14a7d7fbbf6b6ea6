//! What a pool is made of, one file for each concern.

mod endpoint;
mod health;
mod timeouts;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use super::shapes::single_key;

pub use endpoint::EndpointSpec;
pub use health::{HealthSpec, HttpCheckSpec, StatusRange, TcpCheckSpec};
pub use timeouts::{Timeouts, UpstreamKeepalive};

/// A set of endpoints that serve the same, and how one of them is chosen.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PoolSpec {
    /// How an endpoint is chosen: `p2c` (the less loaded of two random ones; pools of three or fewer are
    /// compared whole), `round_robin` (in turns, smoothly by weight), `least_requests` (the least loaded of
    /// all), `random` (by weight alone), or a policy that the program registered. Default: `p2c`.
    #[serde(default)]
    pub balance: BalanceSpec,
    /// The members, each an address or a map. At least one.
    pub endpoints: Vec<EndpointSpec>,
    /// How endpoints are probed. Default: not at all; all count as fit.
    #[serde(default)]
    pub health: Option<HealthSpec>,
    /// How long each step towards an endpoint may take.
    #[serde(default)]
    pub timeouts: Timeouts,
    /// How long connections to endpoints are kept for further requests.
    #[serde(default)]
    pub keepalive: UpstreamKeepalive,
}

/// The name of a policy; its settings stay in the file until the policy that the name stands for reads them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceSpec {
    /// The name under which the policy is registered.
    pub policy: String,
}

impl Default for BalanceSpec {
    fn default() -> Self {
        Self { policy: "p2c".to_owned() }
    }
}

impl<'de> Deserialize<'de> for BalanceSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let policy =
            single_key(deserializer, "a policy's name, or a map of its name and its settings", true)?;
        Ok(Self { policy })
    }
}

impl JsonSchema for BalanceSpec {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Balance".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "title": "a policy's name, or `{ name: settings }`", "examples": ["p2c"] })
    }
}
