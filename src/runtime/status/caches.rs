use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use utoipa::ToSchema;

use crate::cache::{Cache, DiskState, Trouble};

/// A store of answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct CacheStatus {
    pub(crate) name: String,
    /// What answers take of memory, and may take.
    pub(crate) memory_bytes: u64,
    pub(crate) memory_size: u64,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(crate) disk: Option<CacheDiskStatus>,
}

/// The disk of a store of answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct CacheDiskStatus {
    pub(crate) path: String,
    /// What files take of it, and may take.
    pub(crate) bytes: u64,
    pub(crate) size: u64,
    pub(crate) state: CacheDiskUse,
    /// For how long it has not been in full use, and why.
    pub(crate) for_s: Option<u64>,
    pub(crate) why: Option<String>,
    /// Files that were given up since the start, since they could not be read or removed.
    pub(crate) files_given_up: u64,
}

/// What is done with a disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CacheDiskUse {
    InUse,
    /// It is read, and has no room for more.
    Full,
    /// It fails, and the cache works from memory.
    Off,
    /// The folder is not this process's, or not yet.
    Elsewhere,
}

impl CacheStatus {
    pub(in crate::runtime) fn of(cache: &Cache, now: Instant) -> Self {
        let (memory_bytes, memory_size) = cache.memory();
        Self {
            name: cache.name.to_string(),
            memory_bytes: memory_bytes as u64,
            memory_size: memory_size as u64,
            disk: cache.disk.as_ref().map(|disk| CacheDiskStatus::of(disk.state(), now)),
        }
    }
}

impl CacheDiskStatus {
    fn of(disk: DiskState, now: Instant) -> Self {
        let (state, trouble) = match (disk.off, disk.full) {
            (Some(off), _) => (CacheDiskUse::Off, Some(off)),
            _ if !disk.has_folder => (CacheDiskUse::Elsewhere, None),
            (None, Some(full)) => (CacheDiskUse::Full, Some(full)),
            (None, None) => (CacheDiskUse::InUse, None),
        };
        let since = |trouble: &Trouble| now.saturating_duration_since(trouble.since).as_secs();
        Self {
            path: disk.path.display().to_string(),
            bytes: disk.bytes as u64,
            size: disk.size as u64,
            state,
            for_s: trouble.as_ref().map(since),
            why: trouble.map(|trouble| trouble.why),
            files_given_up: disk.lost,
        }
    }
}
