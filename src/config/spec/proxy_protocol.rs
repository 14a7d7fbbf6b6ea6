use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{OneOrMany, TrustedProxy};

/// Who sends PROXY headers (version 1 or 2, recognised by their first bytes).
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyProtocolSpec {
    /// The balancers in front: networks, single addresses, or `unix` for all that connect to a Unix socket. They have to
    /// send the header; whoever else connects is closed at once.
    pub from: OneOrMany<TrustedProxy>,
}
