use async_trait::async_trait;

/// Work that goes on beside the requests: to keep what a hook knows fresh, to hold connections. Had from
/// [`BuildCx::job`](super::BuildCx::job).
#[async_trait]
pub trait Job: Send + Sync {
    /// Runs while a configuration is served that has asked for the job, on a thread of the edge's own for such work, and is
    /// dropped after that. It must not block. A job that has returned is done; one that panics is run again 10 s later.
    async fn run(&self);
}
