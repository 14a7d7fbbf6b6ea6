use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;

use crate::types::PoolName;

use super::{FetchUrl, PoolClient};

/// Work that goes on beside the requests: to keep what a hook knows fresh, to hold connections. Had from
/// [`BuildCx::job`](super::BuildCx::job).
#[async_trait]
pub trait Job: Send + Sync {
    /// Runs while a configuration is served that has asked for the job, on a thread of the edge's own for such work, and is
    /// dropped after that. It must not block. A job that has returned is done; one that panics is run again 10 s later.
    async fn run(&self, cx: &JobCx);
}

/// The surroundings of a job.
#[derive(Clone)]
pub struct JobCx {
    client: Arc<FindClient>,
    urls: Arc<dyn FetchUrl>,
}

type FindClient = dyn Fn(&PoolName) -> Option<PoolClient> + Send + Sync;

impl JobCx {
    pub(crate) fn new(
        client: impl Fn(&PoolName) -> Option<PoolClient> + Send + Sync + 'static,
        urls: impl FetchUrl + 'static,
    ) -> Self {
        Self { client: Arc::new(client), urls: Arc::new(urls) }
    }

    /// Sends requests to the pool of that name as the configuration has it that is served now; `None` where it has none.
    /// Ask anew for each request: a job outlives configurations, and what it keeps would be a pool of yesterday.
    pub fn client(&self, pool: &PoolName) -> Option<PoolClient> {
        (self.client)(pool)
    }

    /// Sends requests to servers that are no endpoints of a pool.
    pub(crate) fn urls(&self) -> &dyn FetchUrl {
        &*self.urls
    }
}

impl fmt::Debug for JobCx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobCx").finish_non_exhaustive()
    }
}
