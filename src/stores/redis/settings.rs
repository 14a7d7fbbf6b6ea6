use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;

use crate::types::RedisAddr;

/// How a Redis is reached, and how long it may take.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct RedisSettings {
    /// What the store is called in the configuration.
    pub(crate) name: String,
    pub(crate) address: RedisAddr,
    /// `None` where TLS is not spoken.
    pub(crate) tls: Option<StoreTls>,
    /// The user whose password it is; `None` for the default one.
    pub(crate) user: Option<String>,
    pub(crate) password: Option<Box<[u8]>>,
    /// Who asks is told within this time, whatever becomes of the store.
    pub(crate) timeout: Duration,
    /// 1 or more.
    pub(crate) connections: usize,
}

/// How TLS is spoken to a store.
#[derive(Clone)]
pub(crate) struct StoreTls {
    pub(crate) client: Arc<ClientConfig>,
    /// Differs when anything in there does.
    pub(crate) digest: u64,
}

impl PartialEq for StoreTls {
    fn eq(&self, other: &Self) -> bool {
        self.digest == other.digest
    }
}

impl Eq for StoreTls {}

/// Without the password.
impl fmt::Debug for RedisSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisSettings")
            .field("name", &self.name)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
