use schemars::JsonSchema;
use serde::Deserialize;

use crate::types::Cidr;

use super::OneOrMany;

/// Who sends PROXY headers (version 1 or 2, recognised by their first bytes).
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocolSpec {
    /// The balancers in front, as networks. They have to send the header; whoever else connects is closed at once.
    pub from: OneOrMany<Cidr>,
}
