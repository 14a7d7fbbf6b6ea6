use std::num::NonZeroU32;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::hooks::{BuildError, KeySpec};
use crate::types::{ByteRate, ByteSize, Rate};

/// Lets bodies, and what passes after an upgrade, go on no faster than a rate, each direction on its own. Heads do not count.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BandwidthSettings {
    /// How fast answers go to clients in the long run, 4KiB/s to 2GiB/s. Default: as fast as they come.
    #[serde(default)]
    pub down: Option<ByteRate>,
    /// How fast bodies of requests come from clients in the long run, 4KiB/s to 2GiB/s. Default: as fast as they come.
    #[serde(default)]
    pub up: Option<ByteRate>,
    /// How much passes at once when nothing has for a while, 1KiB to 1GiB; any stretch of time `t` sees at most
    /// `burst + rate × t`. Default: what the rate lets pass in a second.
    #[serde(default)]
    pub burst: Option<ByteSize>,
    /// By what traffic is told apart that has a rate of its own: `client_ip`, `host`, `path`, `{ header: NAME }`,
    /// `{ cookie: NAME }`, `{ query: NAME }` or `{ var: NAME }`. Requests that have no such part share one rate. Default: by
    /// connection; the streams of HTTP/2 share that of theirs.
    #[serde(default)]
    pub key: Option<KeySpec>,
    /// How many keys or connections are remembered at once, 1000 to 10000000, at 43 bytes each when all are in use. Those at
    /// rest need no memory for long; when more than these are active, those with the smallest debts are forgotten.
    #[serde(default = "BandwidthSettings::default_keys")]
    #[schemars(range(min = 1_000, max = 10_000_000))]
    pub keys: u32,
}

impl BandwidthSettings {
    fn default_keys() -> u32 {
        100_000
    }

    /// The rate and the burst of a direction, if it has a limit.
    pub(super) fn checked(
        &self,
        key: &str,
        rate: Option<ByteRate>,
    ) -> Result<Option<(Rate, u32)>, BuildError> {
        let Some(rate) = rate else { return Ok(None) };
        let allowed = 4 * 1024..=2 * 1024 * 1024 * 1024;
        let count = u32::try_from(rate.bytes_per_second()).ok().and_then(NonZeroU32::new);
        let count = count.filter(|_| allowed.contains(&rate.bytes_per_second())).ok_or_else(|| {
            BuildError::new(format!("`{rate}` is not allowed; 4KiB/s to 2GiB/s is")).at(key)
        })?;
        Ok(Some((Rate::per_second(count), self.checked_burst()?.unwrap_or(count.get()))))
    }

    fn checked_burst(&self) -> Result<Option<u32>, BuildError> {
        let Some(burst) = self.burst else { return Ok(None) };
        match u32::try_from(burst.bytes()) {
            Ok(bytes) if (1024..=1024 * 1024 * 1024).contains(&bytes) => Ok(Some(bytes)),
            _ => Err(BuildError::new(format!("a burst of `{burst}`; 1KiB to 1GiB is allowed")).at("burst")),
        }
    }

    pub(super) fn checked_keys(&self) -> Result<usize, BuildError> {
        match usize::try_from(self.keys) {
            Ok(keys @ 1_000..=10_000_000) => Ok(keys),
            _ => {
                let found = self.keys;
                Err(BuildError::new(format!("{found} keys; 1000 to 10000000 are allowed")).at("keys"))
            }
        }
    }
}
