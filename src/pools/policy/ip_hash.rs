use schemars::JsonSchema;
use serde::Deserialize;

use crate::hooks::{BuildCx, BuildError, KeySpec, Member, PickCx, Policy};
use crate::types::Random;

use super::bounded::LoadBound;
use super::hashed::{HashRules, Hashed};
use super::maglev::{Table, USUAL_SIZE};

/// Chooses by the client's address, of IPv6 by its first bits (`server.http_client_id.ipv6_prefix`), so that a client
/// keeps its endpoint without cookies: [`Maglev`](super::Maglev) with the key `client_ip` and a table of 65537 places,
/// and as quick, as large and as steady as that.
///
/// Clients behind one address share an endpoint, up to the bound. Where cookies can be set, a sticky cookie is the
/// better choice: it spreads the clients of one address, and follows a client from network to network.
#[derive(Debug)]
pub struct IpHash(Hashed<Table>);

/// Chooses by the client's address, of IPv6 by its first bits (`server.http_client_id.ipv6_prefix`): `maglev` with the
/// key `client_ip`. Slow start does not apply.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct IpHashSettings {
    /// How much of the load an endpoint may carry, as told for `ring`: `100%` to `1000%` of its fair share, or `off`.
    pub bounded: LoadBound,
}

impl IpHash {
    /// Makes of the settings what builds the policy for a set of members.
    ///
    /// # Errors
    /// Never; it is told like those of other policies.
    pub fn build(
        settings: IpHashSettings,
        cx: &BuildCx<'_>,
    ) -> Result<impl Fn(&[Member]) -> Self + Send + Sync + use<>, BuildError> {
        let IpHashSettings { bounded } = settings;
        let rules = HashRules { key: KeySpec::ClientIp, ipv6_prefix: cx.ipv6_prefix(), bound: bounded };
        Ok(move |members: &[Member]| {
            Self(Hashed::new(Table::new(members, USUAL_SIZE), rules.clone(), members))
        })
    }
}

impl Policy for IpHash {
    fn pick(&self, members: &[Member], cx: &PickCx<'_>, random: &mut Random) -> usize {
        self.0.pick(members, cx, random)
    }
}
