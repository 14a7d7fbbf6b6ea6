//! What requests come to, and what follows for their endpoint: its latency, ejection, trial and return.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use crate::config::spec::OutlierLimits;

use super::endpoint::{Endpoint, State};
use super::failure::Fault;
use super::lease::Lease;
use super::pool::Pool;
use super::roster::Roster;
use super::standing::{Ejection, Standing};

/// A failure counts as slow as this, so that fast failures attract nothing.
const PENALTY: Duration = Duration::from_secs(5);
/// However short or long an endpoint wants to be left alone.
const SHORTEST_PENALTY: Duration = Duration::from_secs(1);
const LONGEST_PENALTY: Duration = Duration::from_secs(300);

/// Why an endpoint is left out for a while.
#[derive(Clone, Copy, Debug)]
enum Reason {
    OnTrial,
    InRow(u32),
    Share { failures: u64, requests: u64 },
}

impl Pool {
    /// The head of an answer came after `latency`, with a status below 500. Whether the attempt succeeds is told later.
    pub(crate) fn answered(&self, lease: &Lease, latency: Duration, now: Instant) {
        let endpoint = lease.endpoint();
        self.lineage.stats.latencies.count(latency);
        endpoint.record().stats.latencies.count(latency);
        if !lease.is_current() {
            return;
        }
        endpoint.load().observe(latency, now);
        if lease.take_probe() {
            self.pass_trial(endpoint, now);
        }
    }

    /// An attempt was given up after so long, since another endpoint answered first: that is no failure, and the answer would
    /// have taken longer still.
    pub(crate) fn outrun(&self, lease: &Lease, waited: Duration, now: Instant) {
        let load = lease.endpoint().load();
        if lease.is_current() && load.latency(now).is_none_or(|known| known < waited.as_secs_f64()) {
            load.observe(waited, now);
        }
    }

    /// An attempt that was answered ended well, or by its client.
    pub(crate) fn succeeded(&self, lease: &Lease, now: Instant) {
        let endpoint = lease.endpoint();
        let record = endpoint.record();
        if !record.window.is_counting() || !lease.is_current() {
            return;
        }
        record.window.note(false, endpoint.load().nanos(now));
        // Read first: nearly always there is nothing to write.
        if record.failures_in_row.load(Ordering::Relaxed) != 0 {
            record.failures_in_row.store(0, Ordering::Relaxed);
        }
    }

    /// An attempt failed: no connection, a broken one, no answer in time, or a status of 500 or more, perhaps with a
    /// `Retry-After`.
    pub(crate) fn failed(&self, lease: &Lease, fault: Fault, retry_after: Option<Duration>, now: Instant) {
        let endpoint = lease.endpoint();
        endpoint.load().count_failure();
        endpoint.note_fault(fault);
        if !lease.is_current() {
            return;
        }
        let penalty = retry_after.map_or(PENALTY, |after| after.clamp(SHORTEST_PENALTY, LONGEST_PENALTY));
        endpoint.load().observe(penalty, now);
        // By the rules of the newest configuration, whichever the request began with.
        let picker = self.lineage.picker.load();
        let Some(limits) = &picker.generation.config.outlier else { return };
        let record = endpoint.record();
        record.window.note(true, endpoint.load().nanos(now));
        let in_row = record.failures_in_row.fetch_add(1, Ordering::Relaxed) + 1;
        let is_probe = lease.take_probe();
        let reason =
            if is_probe { Some(Reason::OnTrial) } else { reason_to_eject(endpoint, limits, in_row, now) };
        let is_ejected = reason.is_some_and(|reason| self.eject(endpoint, limits, reason, now));
        if is_probe && !is_ejected {
            endpoint.load().return_probe();
            endpoint.record().serve_waiting();
        }
    }

    fn eject(&self, endpoint: &Endpoint, limits: &OutlierLimits, reason: Reason, now: Instant) -> bool {
        let ejected = self.change(&reason, now, |roster| {
            let index = roster.index_of(endpoint)?;
            may_eject(&roster.standings, index, limits).then(|| {
                endpoint.record().begin_ejection();
                roster.standings[index].eject(limits, reason.to_string(), now, &mut roster.random)
            })
        });
        let Some(length) = ejected else { return false };
        endpoint.record().stats.ejections.count();
        self.lineage.ejected.notify_one();
        let (pool, address) = (self.name(), endpoint.address());
        log::warn!("endpoint is ejected pool={pool} endpoint={address} for={length:.1?} reason=\"{reason}\"");
        true
    }

    fn pass_trial(&self, endpoint: &Arc<Endpoint>, now: Instant) {
        let trusted = self.change(&"its trial is over", now, |roster| {
            let index = roster.index_of(endpoint)?;
            roster.standings[index].pass_trial().then(|| {
                endpoint.load().end_trial();
                roster.start_slowly(index, now);
            })
        });
        if trusted.is_some() {
            log::info!("endpoint is trusted again pool={} endpoint={}", self.name(), endpoint.address());
        } else {
            endpoint.load().return_probe();
            endpoint.record().serve_waiting();
        }
    }

    /// Leaves an endpoint out until then because an operator says so, whatever that leaves. It comes back by itself.
    pub(crate) fn order_out(&self, endpoint: &Endpoint, until: Instant, now: Instant) {
        self.change(&"an operator ejected it", now, |roster| {
            let index = roster.index_of(endpoint)?;
            roster.standings[index].order_out(until);
            Some(())
        });
        self.lineage.ejected.notify_one();
    }

    /// Until when an operator wants an endpoint left out.
    pub(crate) fn ordered_out_until(&self, endpoint: &Endpoint) -> Option<Instant> {
        let roster = self.lineage.roster.lock();
        roster.index_of(endpoint).and_then(|index| roster.standings[index].ordered_until())
    }

    /// Ends the ejections whose time is over. Where requests had come to nothing, their endpoints are on trial from now on;
    /// where an operator wanted them left out, they come back. Returns when the next one ends.
    pub(crate) fn end_ejections(&self, now: Instant) -> Option<Instant> {
        let mut next = None;
        let ended = self.change(&"its time out is over", now, |roster| {
            let tried = roster.begin_trials(now);
            let back = roster.end_orders(now);
            next = roster.standings.iter().filter_map(Standing::next_end).min();
            (!tried.is_empty() || !back.is_empty()).then_some((tried, back))
        });
        let (tried, back) = ended.unwrap_or_default();
        for endpoint in tried {
            log::info!("endpoint is on trial pool={} endpoint={}", self.name(), endpoint.address());
        }
        for endpoint in back {
            let (pool, address) = (self.name(), endpoint.address());
            log::info!("endpoint is left out by an operator no more pool={pool} endpoint={address}");
        }
        next
    }

    /// Ends ejections when their time is over, for as long as it is polled.
    pub(crate) async fn keep(&self) {
        loop {
            match self.end_ejections(Instant::now()) {
                None => self.lineage.ejected.notified().await,
                Some(next) => tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    () = self.lineage.ejected.notified() => {}
                },
            }
        }
    }

    /// What keeps endpoints out, by their index.
    pub(crate) fn ejections(&self) -> Vec<Option<Ejection>> {
        let roster = self.lineage.roster.lock();
        let ejection = |endpoint: &Arc<Endpoint>| roster.standing_of(endpoint)?.ejection().cloned();
        self.endpoints.iter().map(ejection).collect()
    }
}

impl Roster {
    /// Begins the trials of endpoints whose ejection is over, and says which those are.
    fn begin_trials(&mut self, now: Instant) -> Vec<Arc<Endpoint>> {
        let Self { endpoints, standings, .. } = self;
        let mut returns = |endpoint: &&Arc<Endpoint>| standings[endpoint.index()].return_to_trial(now);
        let returned: Vec<_> = endpoints.iter().filter(|endpoint| returns(endpoint)).cloned().collect();
        returned.iter().for_each(|endpoint| endpoint.record().begin_trial());
        returned
    }
}

/// Why an endpoint whose request just failed should be left out for a while. Where it may not be, since too many are,
/// every row of failures asks again, not each of them.
fn reason_to_eject(endpoint: &Endpoint, limits: &OutlierLimits, in_row: u32, now: Instant) -> Option<Reason> {
    if in_row.is_multiple_of(limits.consecutive) {
        return Some(Reason::InRow(in_row));
    }
    let (requests, failures) = endpoint.record().window.sum(endpoint.load().nanos(now));
    let is_enough = requests >= u64::from(limits.min_requests);
    let is_bad = failures * 100 >= requests * u64::from(limits.failure_rate.get());
    (is_enough && is_bad).then_some(Reason::Share { failures, requests })
}

/// Whether the endpoint is fit and not the last one, and the share of ejected ones leaves room for it.
fn may_eject(standings: &[Standing], index: usize, limits: &OutlierLimits) -> bool {
    let is_fit = |standing: &Standing| standing.state() == State::Fit;
    let others = || standings.iter().enumerate().filter(|&(other, _)| other != index).map(|(_, one)| one);
    let count = u32::try_from(standings.len()).unwrap_or(u32::MAX);
    let most = match limits.max_ejected.get() {
        0 => 0,
        _ => limits.max_ejected.of(count).max(1) as usize,
    };
    let ejected = others().filter(|standing| standing.ejected_until().is_some()).count();
    is_fit(&standings[index]) && ejected < most && others().any(|other| is_fit(other) && !other.is_on_trial())
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OnTrial => f.write_str("failed on trial"),
            Self::InRow(count) => write!(f, "{count} failures in a row"),
            Self::Share { failures, requests } => write!(f, "{failures} of {requests} requests failed"),
        }
    }
}
