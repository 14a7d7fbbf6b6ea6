//! Whether a new configuration does its work as well as the one before.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::runtime::{Actor, Probation, Standing, Verdict, Why};
use crate::telemetry::{Pulse, PulseSummary};

use super::{Order, Reloader, Wanted};

/// How often a generation on probation is looked at.
const LOOK: Duration = Duration::from_millis(500);
/// The last minutes of the configuration before.
const BEFORE: Duration = Duration::from_secs(300);

/// The slowest hundredth of fewer requests is but one of them.
const LEAST_FOR_P99: u64 = 100;
/// Nobody minds so much more.
const LEAST_DELAY: Duration = Duration::from_millis(10);

/// Why the requests since a change fare worse than those before, if they do.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Errors { before: PulseSummary, since: PulseSummary },
    Latency { before: PulseSummary, since: PulseSummary },
}

impl Reloader {
    /// Watches a generation, and goes back to the one before if requests fare worse than they did by that, whose `former`
    /// pulse tells of it.
    pub(super) fn put_on_probation(
        &self,
        generation: u64,
        former: Arc<Pulse>,
        terms: Probation,
    ) -> watch::Receiver<Option<Verdict>> {
        let (tell, verdict) = watch::channel(None);
        let reloader = self.clone();
        tokio::spawn(async move {
            let verdict = reloader.watch_over(generation, &former, &terms).await;
            tell.send_replace(Some(verdict));
        });
        verdict
    }

    async fn watch_over(&self, generation: u64, former: &Pulse, terms: &Probation) -> Verdict {
        let begun = Instant::now();
        let before = former.summary(BEFORE, begun);
        let pulse = self.0.serving.live.snapshot().pulse.clone();
        loop {
            let left = terms.lasts.get().saturating_sub(begun.elapsed());
            sleep(left.min(LOOK)).await;
            if self.0.history.lock().current() != generation || self.0.serving.live.is_draining() {
                return Verdict::Overtaken;
            }
            let now = Instant::now();
            let since = pulse.summary(now - begun, now);
            let is_over = begun.elapsed() >= terms.lasts.get();
            if let Some(fault) = judge(before, since, terms, if is_over { AT_LAST } else { FOR_NOW }) {
                return self.go_back(generation, fault.to_string()).await;
            }
            if is_over {
                log::info!("configuration has passed its probation generation={generation} {}", seen(&since));
                self.mark(generation, Standing::Serving);
                return Verdict::Passed { seen: seen(&since) };
            }
        }
    }

    async fn go_back(&self, generation: u64, why: String) -> Verdict {
        log::error!("configuration fares worse than the one before generation={generation} reason=\"{why}\"");
        let order =
            Order::new(&Actor::itself(Why::Probation), Why::Probation, Wanted::Earlier(Some(generation - 1)));
        // What an operator did meanwhile stays.
        let order = Order { instead_of: Some(generation), ..order };
        let stuck = match self.change(order, None).await {
            Err(refused) if refused.is_overtaken() => return Verdict::Overtaken,
            Err(refused) => Some(refused.into_text()),
            Ok(applied) if applied.report.is_empty() => {
                Some("the files that it names hold what they held, and are not kept".to_owned())
            }
            Ok(_) => None,
        };
        self.mark(
            generation,
            if stuck.is_none() { Standing::Failed(why.clone()) } else { Standing::Serving },
        );
        Verdict::Failed { why, stuck }
    }

    fn mark(&self, generation: u64, standing: Standing) {
        self.0.history.lock().mark(generation, standing);
    }
}

/// How many requests and failures are enough to judge by.
#[derive(Clone, Copy)]
struct Enough {
    requests: u64,
    errors: u64,
}

/// While more may come.
const FOR_NOW: Enough = Enough { requests: 20, errors: 5 };
/// At the end, when no more do: three of three tell enough.
const AT_LAST: Enough = Enough { requests: 3, errors: 3 };

/// Compares what came `since` a change with what came `before`.
fn judge(before: PulseSummary, since: PulseSummary, terms: &Probation, enough: Enough) -> Option<Fault> {
    let more_errors = percent_of_errors(&since) - percent_of_errors(&before);
    let has_enough = since.requests >= enough.requests && since.errors >= enough.errors;
    if has_enough && more_errors > f64::from(terms.max_errors.get()) {
        return Some(Fault::Errors { before, since });
    }
    let most = before.p99 + before.p99.mul_f64(f64::from(terms.max_p99.get()) / 100.0);
    let has_enough = before.requests.min(since.requests) >= LEAST_FOR_P99;
    if has_enough && since.p99 > most.max(before.p99 + LEAST_DELAY) {
        return Some(Fault::Latency { before, since });
    }
    None
}

/// What was seen, in a few words.
fn seen(summary: &PulseSummary) -> String {
    match summary.requests {
        0 => "no request came".to_owned(),
        requests => {
            let (errors, p99) = (percent_of_errors(summary), Millis(summary.p99));
            format!("{requests} requests, {errors:.1} % answered with 5xx, p99 {p99}")
        }
    }
}

fn percent_of_errors(summary: &PulseSummary) -> f64 {
    match summary.requests {
        0 => 0.0,
        requests => summary.errors as f64 * 100.0 / requests as f64,
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, Self::Errors { before, since } | Self::Latency { before, since }) = match self {
            Self::Errors { .. } => ("too many answers of 5xx", self),
            Self::Latency { .. } => ("too slow", self),
        };
        write!(f, "{what}: {}; before: {}", seen(since), seen(before))
    }
}

struct Millis(Duration);

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} ms", self.0.as_secs_f64() * 1000.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::{Percent, Span};

    const TERMS: Probation =
        Probation { lasts: Span::from_secs(60), max_errors: Percent::new(5), max_p99: Percent::new(100) };

    fn summary(requests: u64, errors: u64, p99: u64) -> PulseSummary {
        let p99 = Duration::from_millis(p99);
        PulseSummary { requests, errors, p50: p99 / 2, p99 }
    }

    #[test]
    fn errors_count_against_those_of_before() {
        for (before, since, is_fault) in [
            ((1000, 0, 5), (1000, 50, 5), false),
            ((1000, 0, 5), (1000, 51, 5), true),
            ((1000, 100, 5), (1000, 150, 5), false),
            ((1000, 100, 5), (1000, 151, 5), true),
            // Nothing was there before.
            ((0, 0, 0), (20, 5, 5), true),
            ((0, 0, 0), (20, 4, 5), false),
            ((0, 0, 0), (19, 19, 5), false),
        ] {
            let of = |(requests, errors, p99)| summary(requests, errors, p99);
            let fault = judge(of(before), of(since), &TERMS, FOR_NOW);
            assert_eq!(fault.is_some(), is_fault, "{before:?} {since:?}");
        }
    }

    #[test]
    fn the_slowest_hundredth_may_be_slower_but_not_much() {
        for (before, since, requests, is_fault) in [
            (100, 200, 1000, false),
            (100, 201, 1000, true),
            (100, 900, 99, false),
            // What nobody notices.
            (2, 12, 1000, false),
            (2, 13, 1000, true),
        ] {
            let fault = judge(summary(1000, 0, before), summary(requests, 0, since), &TERMS, FOR_NOW);
            assert_eq!(fault.is_some(), is_fault, "{before} {since} {requests}");
        }
        assert_eq!(judge(summary(99, 0, 1), summary(1000, 0, 900), &TERMS, FOR_NOW), None);
    }

    #[test]
    fn few_requests_are_enough_at_the_end() {
        let nothing = summary(0, 0, 0);
        let is_fault =
            |requests, errors, enough| judge(nothing, summary(requests, errors, 1), &TERMS, enough).is_some();
        assert_eq!([is_fault(12, 12, FOR_NOW), is_fault(12, 12, AT_LAST)], [false, true]);
        assert_eq!([is_fault(3, 3, AT_LAST), is_fault(2, 2, AT_LAST)], [true, false]);
    }

    #[test]
    fn a_fault_tells_both_sides() {
        let fault = judge(summary(1000, 1, 5), summary(400, 100, 7), &TERMS, FOR_NOW).unwrap();
        assert_eq!(
            fault.to_string(),
            "too many answers of 5xx: 400 requests, 25.0 % answered with 5xx, p99 7.0 ms; \
             before: 1000 requests, 0.1 % answered with 5xx, p99 5.0 ms"
        );
        assert_eq!(seen(&summary(0, 0, 0)), "no request came");
    }
}
