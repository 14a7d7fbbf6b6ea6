use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{ByteSize, Span};

use super::ranges::{size, span};

/// A store of answers, which filters named `cache` put answers into and take them from.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSpec {
    /// The memory that it may take, 1MiB to 1024GiB. What it holds goes on over a reload as long as this stays the same.
    /// Default: 256MiB.
    #[serde(deserialize_with = "size::<1024, 1_073_741_824, _>")]
    pub memory: ByteSize,
    /// The longest body that is stored, 1KiB to 512GiB; half of `memory` at most in any case. Default: 16MiB.
    #[serde(deserialize_with = "size::<1, 536_870_912, _>")]
    pub max_object: ByteSize,
    /// How requests wait for another that fetches the same.
    pub lock: CacheLockSpec,
}

/// How requests wait for another that fetches the same.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheLockSpec {
    /// So long a request waits at most, up to 1m; then it fetches for itself. `0s` for no wait at all. Default: 5s.
    #[serde(deserialize_with = "span::<0, 60_000, _>")]
    pub wait: Span,
}

impl Default for CacheSpec {
    fn default() -> Self {
        Self {
            memory: ByteSize::from_mib(256),
            max_object: ByteSize::from_mib(16),
            lock: CacheLockSpec::default(),
        }
    }
}

impl Default for CacheLockSpec {
    fn default() -> Self {
        Self { wait: Span::from_secs(5) }
    }
}
