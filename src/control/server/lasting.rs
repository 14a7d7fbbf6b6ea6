//! Commands that take some time, whose clients are told how they go on.

use std::io;
use std::time::Duration;

use tokio::time::{Instant, interval, sleep, sleep_until};

use crate::control::protocol::Reply;
use crate::pools::State;
use crate::runtime::{Applied, Drain, RequestReport, Tap, Target, Verdict};
use crate::types::Span;

use super::connection::{Connection, Failure};

/// How often a drain is looked at.
const LOOK: Duration = Duration::from_millis(20);
/// A drain is told of at least so often: by this a client that is gone is noticed here, and a stuck process there.
const HEARTBEAT: Duration = Duration::from_secs(1);

impl Connection {
    /// Tells how a drain goes on until it is over, or the time for it is.
    pub(super) async fn watch(
        &mut self,
        drain: &Drain,
        target: Target,
        wait: Span,
    ) -> Result<Reply, Failure> {
        let begun = Instant::now();
        let mut told = None;
        loop {
            // Before the first look, too: a request that was given this endpoint just before the drain counts by then.
            sleep(LOOK).await;
            let (now, in_flight) = (Instant::now(), drain.in_flight());
            match drain.state() {
                State::Drained => return Ok(Reply::Drained),
                State::Draining if now - begun >= wait.get() => return Ok(Reply::Draining { in_flight }),
                State::Draining => {}
                _ => return Err(Failure::Undrained(target)),
            }
            let is_news = |(count, at)| count != in_flight || now - at >= HEARTBEAT;
            if told.is_none_or(is_news) {
                self.tell(&Reply::InFlight(in_flight)).await?;
                told = Some((in_flight, now));
            }
        }
    }

    /// Tells of requests as they end, until there were `most` or the time is over.
    pub(super) async fn let_run(&mut self, mut tap: Tap, most: u32, wait: Span) -> io::Result<Reply> {
        let until = Instant::now() + wait.get();
        let mut heartbeat = interval(HEARTBEAT);
        let mut told = 0;
        while told < most {
            let recording = tokio::select! {
                biased;
                () = sleep_until(until) => break,
                _ = heartbeat.tick() => None,
                recording = tap.next() => Some(recording),
            };
            match recording {
                Some(recording) => {
                    told += 1;
                    self.tell(&Reply::Tapped(Box::new(RequestReport::of(&recording)))).await?;
                }
                None => self.tell(&missed(&tap).unwrap_or(Reply::Working)).await?,
            }
        }
        if let Some(missed) = missed(&tap) {
            self.tell(&missed).await?;
        }
        Ok(Reply::TapEnded { told })
    }

    /// Says again and again that the work goes on, until it is done.
    pub(super) async fn while_working<T>(&mut self, work: impl Future<Output = T>) -> io::Result<T> {
        tokio::pin!(work);
        loop {
            tokio::select! {
                done = &mut work => return Ok(done),
                () = sleep(HEARTBEAT) => self.tell(&Reply::Working).await?,
            }
        }
    }

    /// Tells what a change came to, and its probation.
    pub(super) async fn follow(&mut self, applied: Applied) -> io::Result<Reply> {
        let Applied { report, verdict: Some(mut verdict) } = applied else {
            return Ok(Reply::Changed(applied.report));
        };
        self.tell(&Reply::OnProbation(report)).await?;
        let judged =
            async move { verdict.wait_for(Option::is_some).await.ok().and_then(|told| told.clone()) };
        // Whoever judges is gone only when the process ends.
        Ok(Reply::Judged(self.while_working(judged).await?.unwrap_or(Verdict::Overtaken)))
    }
}

fn missed(tap: &Tap) -> Option<Reply> {
    Some(tap.take_missed()).filter(|&missed| missed > 0).map(Reply::Missed)
}
