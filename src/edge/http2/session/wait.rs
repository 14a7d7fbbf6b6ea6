use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::{Duration, Instant, Sleep, sleep_until};

/// How long nothing may come. The time runs from the first time that nothing had come after the limit was set, and on
/// however often the wait is broken off and begun again.
#[derive(Debug, Default)]
pub(super) struct Wait {
    limit: Option<Duration>,
    due: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
}

impl Wait {
    pub(super) fn limit(&self) -> Option<Duration> {
        self.limit
    }

    pub(super) fn set(&mut self, limit: Option<Duration>) {
        self.limit = limit;
        self.due = None;
    }

    /// Resolves once the limit has passed.
    pub(super) fn poll_over(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(limit) = self.limit else { return Poll::Pending };
        let due = *self.due.get_or_insert_with(|| Instant::now() + limit);
        self.poll_until(due, cx)
    }

    /// Resolves at that time, whatever the limit.
    pub(super) fn poll_until(&mut self, due: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if alarm.deadline() != due {
            alarm.as_mut().reset(due);
        }
        alarm.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures::FutureExt;

    use super::*;

    fn is_over(wait: &mut Wait) -> bool {
        poll_fn(|cx| wait.poll_over(cx)).now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_broken_off_goes_on_and_one_that_is_set_begins_anew() {
        let mut wait = Wait::default();
        assert!(!is_over(&mut wait));
        wait.set(Some(Duration::from_secs(2)));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert!(!is_over(&mut wait), "nobody has waited yet");
        tokio::time::advance(Duration::from_millis(1500)).await;
        assert!(!is_over(&mut wait));
        wait.set(Some(Duration::from_secs(1)));
        assert!(!is_over(&mut wait));
        tokio::time::advance(Duration::from_millis(600)).await;
        assert!(!is_over(&mut wait));
        tokio::time::advance(Duration::from_millis(600)).await;
        assert!(is_over(&mut wait));
        wait.set(None);
        assert!(!is_over(&mut wait));
    }
}
