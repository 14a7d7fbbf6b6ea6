use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use crate::hooks::{Job, JobCx};
use crate::pools::{Pool, UrlClient};
use crate::types::PoolName;

use super::Live;

/// When a job that has panicked is run again.
const AGAIN: Duration = Duration::from_secs(10);

/// The jobs that run.
struct Jobs {
    cx: JobCx,
    tasks: JoinSet<()>,
    running: Vec<(Arc<dyn Job>, AbortHandle)>,
}

/// Runs the jobs of the configuration that is served: those that the next one asks for again go on, the others end with
/// theirs. Never returns; dropped, it ends them all.
pub(crate) async fn run_jobs(live: Arc<Live>) {
    let (mut jobs, mut changes) = (Jobs::new(job_cx(live.clone())), live.changes());
    loop {
        changes.mark_unchanged();
        let snapshot = live.snapshot();
        jobs.change_to(&snapshot.jobs);
        drop(snapshot);
        if changes.changed().await.is_err() {
            return pending().await;
        }
    }
}

/// Jobs find pools in what is served at the moment.
fn job_cx(live: Arc<Live>) -> JobCx {
    let client = move |name: &PoolName| {
        let snapshot = live.snapshot();
        snapshot.pools.iter().find(|pool| pool.name() == name).map(Pool::client)
    };
    JobCx::new(client, UrlClient)
}

impl Jobs {
    fn new(cx: JobCx) -> Self {
        Self { cx, tasks: JoinSet::new(), running: Vec::new() }
    }

    fn change_to(&mut self, wanted: &[Arc<dyn Job>]) {
        self.running.retain(|(job, task)| {
            let stays = wanted.iter().any(|wanted| Arc::ptr_eq(wanted, job));
            if !stays {
                task.abort();
            }
            stays
        });
        for job in wanted {
            if !self.running.iter().any(|(running, _)| Arc::ptr_eq(running, job)) {
                let task = self.tasks.spawn(run(job.clone(), self.cx.clone()));
                self.running.push((job.clone(), task));
            }
        }
        while self.tasks.try_join_next().is_some() {}
    }
}

async fn run(job: Arc<dyn Job>, cx: JobCx) {
    while AssertUnwindSafe(job.run(&cx)).catch_unwind().await.is_err() {
        log::error!("job panicked, it is run again in {} s", AGAIN.as_secs());
        sleep(AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use async_trait::async_trait;
    use tokio::task::yield_now;

    use crate::hooks::testing;

    use super::*;

    #[derive(Default)]
    struct Counted {
        begun: AtomicUsize,
        running: AtomicUsize,
        panics: bool,
    }

    struct Running<'a>(&'a AtomicUsize);

    impl Drop for Running<'_> {
        fn drop(&mut self) {
            self.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    #[async_trait]
    impl Job for Counted {
        async fn run(&self, _: &JobCx) {
            let begun = self.begun.fetch_add(1, Ordering::Relaxed);
            assert!(!self.panics || begun > 0, "the first time");
            self.running.fetch_add(1, Ordering::Relaxed);
            let _running = Running(&self.running);
            pending().await
        }
    }

    async fn settle() {
        for _ in 0..20 {
            yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn jobs_go_on_while_they_are_wanted() {
        let [first, second] = [(); 2].map(|()| Arc::new(Counted::default()));
        let job = |job: &Arc<Counted>| job.clone() as Arc<dyn Job>;
        let counts = |job: &Counted| (job.begun.load(Ordering::Relaxed), job.running.load(Ordering::Relaxed));
        let mut jobs = Jobs::new(testing::job_cx(&[]));
        jobs.change_to(&[job(&first)]);
        settle().await;
        jobs.change_to(&[job(&second), job(&first)]);
        settle().await;
        assert_eq!((counts(&first), counts(&second)), ((1, 1), (1, 1)));
        jobs.change_to(&[job(&second)]);
        settle().await;
        assert_eq!((counts(&first), counts(&second)), ((1, 0), (1, 1)));
        drop(jobs);
        settle().await;
        assert_eq!(counts(&second), (1, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_panics_is_run_again() {
        let job = Arc::new(Counted { panics: true, ..Counted::default() });
        let mut jobs = Jobs::new(testing::job_cx(&[]));
        let wanted: [Arc<dyn Job>; 1] = [job.clone()];
        jobs.change_to(&wanted);
        sleep(AGAIN + Duration::from_secs(1)).await;
        assert_eq!((job.begun.load(Ordering::Relaxed), job.running.load(Ordering::Relaxed)), (2, 1));
    }
}
