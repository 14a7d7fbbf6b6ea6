use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::spec::{OneOrMany, StatusRange};
use crate::hooks::{BuildError, KeySpec};
use crate::types::{LimitName, Rate, Span, StoreName};

/// Limits how fast requests come, for each key on its own.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RateLimitSettings {
    /// How many requests of one key pass in the long run: `100/s`, `600/m`, `10/250ms`.
    pub rate: Rate,
    /// How many requests of one key that has been quiet pass at once, 1 or more; they use up the rate, so that
    /// any stretch of time `t` sees at most `burst + rate × t` requests. 1 keeps them at the even pace. Default:
    /// the rate's count, so 100 for `100/s`.
    #[serde(default)]
    #[schemars(range(min = 1))]
    pub burst: Option<u32>,
    /// By what requests are told apart: `client_ip`, `host`, `path`, `{ header: NAME }`, `{ cookie: NAME }` or
    /// `{ query: NAME }`. Requests that lack the header, cookie or parameter share one limit among them. A
    /// header, cookie or parameter that clients can make up does not limit them. Default: `client_ip`.
    #[serde(default)]
    pub key: KeySpec,
    /// What happens to requests over the rate: `reject`, `delay` or `dry_run`. Default: `reject`.
    #[serde(default)]
    pub mode: RateLimitMode,
    /// How long a request may be held with `mode: delay`, up to 1m; one that would have to wait longer is
    /// refused. Default: 5s.
    #[serde(default)]
    pub max_delay: Option<Span>,
    /// How many keys are remembered at once, 1000 to 10000000, at 43 bytes each when all are in use. Keys at rest
    /// need no memory for long; when more than these are active, those with the smallest debts are forgotten.
    #[serde(default = "RateLimitSettings::default_keys")]
    #[schemars(range(min = 1_000, max = 10_000_000))]
    pub keys: u32,
    /// Whether answers to requests that pass carry `RateLimit-Policy` and `RateLimit` too
    /// (draft-ietf-httpapi-ratelimit-headers-11); refusals always do. Default: false.
    #[serde(default)]
    pub headers: bool,
    /// Which requests count, by the status of their answers: `401`, `4xx`, `[401, 500-599]`. A request passes while its key is
    /// within the rate, and is counted when its answer begins; those that are under way at once can go beyond the rate by
    /// as many as they are. Not with `mode: delay`. Default: all, as they come.
    #[serde(default)]
    pub count: Option<OneOrMany<StatusRange>>,
    /// Who counts together: `process`, or `cluster` for all processes that use the same `store`, with the same `name` and
    /// `rate`. Default: `process`.
    #[serde(default)]
    pub scope: RateLimitScope,
    /// With `scope: cluster`: the store that counts, by its name under `server.stores`.
    #[serde(default)]
    pub store: Option<StoreName>,
    /// With `scope: cluster`: what the limit is called there. Limits of the same name and rate are one, on whichever route
    /// and in whichever process.
    #[serde(default)]
    pub name: Option<LimitName>,
    /// With `scope: cluster`: what becomes of a request while the store does not answer in time: `local`, `allow` or
    /// `reject`. Default: `local`.
    #[serde(default)]
    pub on_store_failure: Option<OnStoreFailure>,
    /// With `scope: cluster`: among how many processes the rate and the burst are divided while each counts for itself, 1
    /// to 1000. Default: 1.
    #[serde(default)]
    #[schemars(range(min = 1, max = 1000))]
    pub processes: Option<NonZeroU32>,
}

/// Who counts together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RateLimitScope {
    /// Each process counts for itself.
    #[default]
    Process,
    /// A store counts for all of them; each request waits for it.
    Cluster,
}

/// What becomes of a request while the store does not answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum OnStoreFailure {
    /// The process counts for itself; it knows what has passed in it.
    #[default]
    Local,
    /// It passes without being counted.
    Allow,
    /// It is refused with 503.
    Reject,
}

impl OnStoreFailure {
    pub(super) fn as_told(self) -> &'static str {
        match self {
            Self::Local => "each process counts for itself",
            Self::Allow => "requests pass without being counted",
            Self::Reject => "requests are refused",
        }
    }
}

/// What happens to requests over the rate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RateLimitMode {
    /// They are refused with 429 and `Retry-After`.
    #[default]
    Reject,
    /// They wait for their turn, up to `max_delay` and up to 10000 of them at a time; others are refused with
    /// 429.
    Delay,
    /// They pass, and the access log tells that they would have been refused.
    DryRun,
}

/// How long a request may be held, unless it is said.
const DEFAULT_DELAY: Duration = Duration::from_secs(5);
const MAX_DELAY: Duration = Duration::from_secs(60);

impl RateLimitSettings {
    fn default_keys() -> u32 {
        1_000_000
    }

    pub(super) fn checked_burst(&self) -> Result<u32, BuildError> {
        match self.burst {
            Some(0) => Err(BuildError::new("a burst of 0 lets no request pass; 1 or more is allowed")
                .at("burst")
                .with_help("write 1 to keep requests at the even pace")),
            Some(burst) => Ok(burst),
            None => Ok(self.rate.count()),
        }
    }

    /// The statuses of answers that count; `None` where all requests do.
    pub(super) fn checked_count(&self) -> Result<Option<&[StatusRange]>, BuildError> {
        if self.count.is_some() && self.mode == RateLimitMode::Delay {
            let error =
                BuildError::new("whose turn it is cannot be known before the answers are").at("count");
            return Err(error.with_help("write another `mode`, or leave `count` out"));
        }
        Ok(self.count.as_ref().map(OneOrMany::as_slice))
    }

    /// What one process counts by while it counts for itself.
    pub(super) fn local(&self, burst: u32) -> (Rate, u32) {
        let processes = self.processes.unwrap_or(NonZeroU32::MIN);
        (self.rate.among(processes), burst.div_ceil(processes.get()))
    }

    /// The store that counts and the limit's name there, if one does.
    pub(super) fn checked_scope(&self) -> Result<Option<(&StoreName, &LimitName)>, BuildError> {
        if self.scope == RateLimitScope::Process {
            let cluster_only = [
                ("store", self.store.is_some()),
                ("name", self.name.is_some()),
                ("on_store_failure", self.on_store_failure.is_some()),
                ("processes", self.processes.is_some()),
            ];
            return match cluster_only.into_iter().find(|(_, is_there)| *is_there) {
                None => Ok(None),
                Some((key, _)) => {
                    let error = BuildError::new(format!("`{key}` has a meaning with `scope: cluster` only"));
                    Err(error.at(key).with_help(format!("write `scope: cluster`, or leave `{key}` out")))
                }
            };
        }
        if let Some(processes) = self.processes.filter(|processes| processes.get() > 1000) {
            return Err(
                BuildError::new(format!("{processes} processes; 1 to 1000 are allowed")).at("processes")
            );
        }
        let missing = |key, what| {
            let error = BuildError::new(format!("`scope: cluster` needs a `{key}`")).at("scope");
            error.with_help(format!("write `{key}`: {what}"))
        };
        let store = self.store.as_ref();
        let store = store.ok_or_else(|| missing("store", "the name of one under `server.stores`"))?;
        let name = self.name.as_ref();
        let name = name.ok_or_else(|| missing("name", "limits of the same name count together"))?;
        Ok(Some((store, name)))
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

    pub(super) fn checked_delay(&self) -> Result<Duration, BuildError> {
        let Some(delay) = self.max_delay else { return Ok(DEFAULT_DELAY) };
        if self.mode != RateLimitMode::Delay {
            let error = BuildError::new("`max_delay` has a meaning with `mode: delay` only");
            return Err(error.at("max_delay").with_help("write `mode: delay`, or leave `max_delay` out"));
        }
        if delay.is_zero() || delay.get() > MAX_DELAY {
            let error =
                BuildError::new(format!("a delay of `{delay}`; more than 0s and up to 1m is allowed"));
            return Err(error.at("max_delay"));
        }
        Ok(delay.get())
    }
}
