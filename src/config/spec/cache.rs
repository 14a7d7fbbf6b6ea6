use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{ByteSize, Span};

use super::ranges::{size, span, whole};

/// A store of answers, which filters named `cache` put answers into and take them from.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheSpec {
    /// The memory that it may take, 1MiB to 1024GiB. What it holds goes on over a reload as long as this stays the same.
    /// Default: 256MiB.
    #[serde(deserialize_with = "size::<1024, 1_073_741_824, _>")]
    pub memory: ByteSize,
    /// Where answers lie in files besides, so that there may be more of them, and longer ones, and that they are there after
    /// a restart. Default: nowhere.
    pub disk: Option<CacheDiskSpec>,
    /// The longest body that is stored, 1KiB to 512GiB; without `disk` half of `memory` at most, with it half of its `size`.
    /// Default: 16MiB.
    #[serde(deserialize_with = "size::<1, 536_870_912, _>")]
    pub max_object: ByteSize,
    /// How requests wait for another that fetches the same.
    pub lock: CacheLockSpec,
    /// How old answers are refreshed while clients get them.
    pub refresh: CacheRefreshSpec,
}

/// Where the answers of a cache lie in files.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CacheDiskSpec {
    /// The folder, relative to the folder of this file; it is made if it is not there. Only one process has it: another one that
    /// is started with it is refused, unless it takes over by an upgrade. No other cache has the same one.
    pub path: PathBuf,
    /// What the files may take together, 16MiB to 512TiB; those that are being written come on top.
    #[serde(deserialize_with = "size::<16_384, 549_755_813_888, _>")]
    pub size: ByteSize,
}

/// How requests wait for another that fetches the same.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheLockSpec {
    /// So long a request waits at most, up to 1m; then it fetches for itself. `0s` for no wait at all. Default: 5s.
    #[serde(deserialize_with = "span::<0, 60_000, _>")]
    pub wait: Span,
}

/// How old answers are refreshed while clients get them.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct CacheRefreshSpec {
    /// So many answers of the cache are refreshed at once by requests of the edge's own, 0 to 256; 256 over all caches. With 0
    /// a client's request does it, and waits. Default: 64.
    #[serde(deserialize_with = "whole::<0, 256, _, _>")]
    #[schemars(range(min = 0, max = 256))]
    pub at_once: u16,
}

impl Default for CacheSpec {
    fn default() -> Self {
        Self {
            memory: ByteSize::from_mib(256),
            disk: None,
            max_object: ByteSize::from_mib(16),
            lock: CacheLockSpec::default(),
            refresh: CacheRefreshSpec::default(),
        }
    }
}

impl Default for CacheRefreshSpec {
    fn default() -> Self {
        Self { at_once: 64 }
    }
}

impl Default for CacheLockSpec {
    fn default() -> Self {
        Self { wait: Span::from_secs(5) }
    }
}
