use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use crate::types::{Percent, PoolName, Span, Weight};

use super::ranges::{percent, span, whole};
use super::{CookieName, KeySpec};

/// Spreads requests over several pools. Which one a request goes to is decided after the filters; one that sends it to a
/// pool of its own is not overruled.
///
/// With a key or a cookie a client stays with its pool. When a pool's share grows, clients move to this pool only, and when
/// it shrinks, only those of this pool move. What a key comes to depends on the key and the names of the pools alone: it
/// is the same after a restart, on other instances, and on other routes that split between the same pools.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitSpec {
    /// The pools, 2 to 16 of them, each with its share.
    #[serde(serialize_with = "write_pools")]
    pub to: Vec<SplitPoolSpec>,
    /// What keeps a client with its pool. Requests that have no such key go to a pool by chance. Default: all do.
    #[serde(default)]
    pub by: Option<KeySpec>,
    /// A cookie that keeps a client with its pool; in the place of `by`.
    #[serde(default)]
    pub cookie: Option<SplitCookieSpec>,
    /// Lets one of the pools have more and more of the requests, as long as it does as well as the others.
    #[serde(default)]
    pub canary: Option<CanarySpec>,
}

/// A pool and its share.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitPoolSpec {
    /// The pool.
    pub pool: PoolName,
    /// Its share relative to the others, 0 to 1000; `evener weight` changes it while the process runs. That of a canary is
    /// only what it begins with. Default: 1.
    #[serde(default)]
    pub weight: Option<Weight>,
}

/// A cookie with a random number that keeps a client with its pool. It is `HttpOnly`, `SameSite=Lax`, for all paths, and
/// `Secure` where the client came over TLS. It is not signed: a client can choose its pool by it.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SplitCookieSpec {
    /// The cookie's name.
    pub name: CookieName,
    /// How long clients keep it, 1s or more. Default: until the browser is closed.
    #[serde(default)]
    pub ttl: Option<Span>,
}

/// How a pool gets more and more of the requests: by steps, each after a while in which it was no worse than the other pools
/// of the split over the same time. As soon as it surely is worse, it is taken back, and the log and `evener status` tell
/// why. What became of it stays until `evener canary ROUTE restart`, also where these settings change.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CanarySpec {
    /// The pool. Default: the last one of the split.
    pub pool: Option<PoolName>,
    /// By so much of all requests its share grows, 1% to 50%. It begins with the share of its weight, or with one step where
    /// it has none. Default: 5%.
    #[serde(deserialize_with = "percent::<1, 50, _>")]
    pub step: Percent,
    /// How long it has each share at least, and how long it was good after it was resumed, 1s to 24h. Default: 1m.
    #[serde(deserialize_with = "span::<1000, 86_400_000, _>")]
    pub every: Span,
    /// How much larger its share of failures may be, 0% to 100%: of 100 requests one more with `1%`. A failure is what counts
    /// as one for `outlier`, and a request for which the pool had no endpoint. Default: 1%.
    #[serde(deserialize_with = "percent::<0, 100, _>")]
    pub max_error_increase: Percent,
    /// How much longer the slowest hundredth of its requests may take to the first byte, 0% to 1000%; a millisecond more is
    /// always allowed. Default: 20%.
    #[serde(deserialize_with = "percent::<0, 1000, _>")]
    pub max_p99_increase: Percent,
    /// So many requests on either side are needed for a judgement, 10 to 1000000. Default: 100.
    #[serde(deserialize_with = "whole::<10, 1_000_000, _, _>")]
    #[schemars(range(min = 10, max = 1_000_000))]
    pub min_requests: u32,
    /// With this share it is done, 1% to 100%. Default: 100%.
    #[serde(deserialize_with = "percent::<1, 100, _>")]
    pub max: Percent,
    /// The share that it is taken back to, 0% to 100%. Default: 0%.
    #[serde(deserialize_with = "percent::<0, 100, _>")]
    pub on_abort: Percent,
}

impl Default for CanarySpec {
    fn default() -> Self {
        Self {
            pool: None,
            step: Percent::new(5),
            every: Span::from_secs(60),
            max_error_increase: Percent::new(1),
            max_p99_increase: Percent::new(20),
            min_requests: 100,
            max: Percent::new(100),
            on_abort: Percent::new(0),
        }
    }
}

/// Writes each pool as what tells it apart, with the rest under it.
fn write_pools<S: Serializer>(pools: &[SplitPoolSpec], serializer: S) -> Result<S::Ok, S::Error> {
    #[derive(Serialize)]
    struct Rest {
        weight: Option<Weight>,
    }
    let written = |SplitPoolSpec { pool, weight }: &SplitPoolSpec| {
        BTreeMap::from([(pool.to_string(), Rest { weight: *weight })])
    };
    serializer.collect_seq(pools.iter().map(written))
}
