use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::config;
use crate::hooks::PoolLoad;
use crate::types::{EndpointAddr, Random};

use super::endpoint::Endpoint;
use super::generation::Generation;
use super::head_times::HeadTimes;
use super::journal::{Journal, Noting};
use super::picker::Picker;
use super::queue::Queue;
use super::record::Record;
use super::roster::Roster;
use super::stats::PoolStats;
use super::tally::Tally;

/// What the generations of a pool share: everything but the configuration.
///
/// There is one picker and one roster, those of the current generation. Whatever generation of the pool a request holds,
/// it picks from the current one, and what it comes to is judged there. So no generation but the current one is kept
/// by anything but its own requests.
pub(super) struct Lineage {
    pub(super) picker: ArcSwap<Picker>,
    /// The lock also keeps the order of flips, so that the picker published last is the one of the last flip.
    pub(super) roster: Mutex<Roster>,
    pub(super) queue: Arc<Queue>,
    pub(super) load: Arc<PoolLoad>,
    /// Attempts in flight that repeat an earlier one.
    pub(super) retries: AtomicU32,
    /// True once an endpoint is fit, or none waits for its first probe any more.
    pub(super) settled: watch::Sender<bool>,
    /// Woken when an ejection begins, so that its end can be waited for.
    pub(super) ejected: Notify,
    pub(super) stats: PoolStats,
    pub(super) tally: Arc<CachePadded<Tally>>,
    /// Where a filter asks for it.
    pub(super) head_times: OnceLock<Box<HeadTimes>>,
    pub(super) journal: Arc<Journal>,
}

impl Lineage {
    /// The lineage of a pool without a predecessor, and its endpoints.
    pub(super) fn begin(
        generation: &Arc<Generation>,
        random: Random,
        journal: Arc<Journal>,
        now: Instant,
    ) -> (Arc<Self>, Arc<[Arc<Endpoint>]>) {
        let (queue, load, tally) = Default::default();
        let endpoints = make_endpoints(generation, &HashMap::new(), (&queue, &load, &tally), now);
        let mut roster = Roster::new(generation.clone(), endpoints.clone(), random);
        let picker =
            roster.publish(None, &Noting { journal: &journal, why: &"the configuration has it", now });
        endpoints.iter().for_each(|endpoint| endpoint.record().adopt(endpoint));
        picker.tell();
        let lineage = Self {
            picker: ArcSwap::from_pointee(picker),
            settled: watch::Sender::new(roster.is_settled()),
            roster: Mutex::new(roster),
            queue,
            load,
            retries: AtomicU32::new(0),
            ejected: Notify::new(),
            stats: PoolStats::default(),
            tally,
            head_times: OnceLock::new(),
            journal,
        };
        (Arc::new(lineage), endpoints)
    }

    /// Endpoints for a further generation, which go on with what is known of their addresses.
    pub(super) fn endpoints_for(&self, generation: &Arc<Generation>, now: Instant) -> Arc<[Arc<Endpoint>]> {
        let current = self.roster.lock().endpoints.clone();
        let known = current.iter().map(|endpoint| (&**endpoint.address(), endpoint.record())).collect();
        make_endpoints(generation, &known, (&self.queue, &self.load, &self.tally), now)
    }

    /// Changes what decides about who gets work, then publishes that. Nothing is published where `change` gives nothing
    /// back, since it has found nothing to change. Those on call are told `why` the state of an endpoint is another.
    pub(super) fn change<T>(
        &self,
        why: &dyn fmt::Display,
        now: Instant,
        change: impl FnOnce(&mut Roster) -> Option<T>,
    ) -> Option<T> {
        let mut roster = self.roster.lock();
        let changed = change(&mut roster)?;
        roster.trust_the_last();
        let before = self.picker.load();
        let picker = Arc::new(roster.publish(Some(&before), &Noting { journal: &self.journal, why, now }));
        self.picker.store(picker.clone());
        picker.tell();
        if roster.is_settled() {
            self.settle(true);
        }
        drop(roster);
        picker.serve_waiting();
        Some(changed)
    }

    /// Says whether the first probes have told enough to judge by.
    pub(super) fn settle(&self, is_settled: bool) {
        self.settled.send_if_modified(|settled| std::mem::replace(settled, is_settled) != is_settled);
    }
}

impl fmt::Debug for Lineage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lineage")
            .field("in_flight", &self.load.in_flight())
            .field("waiting", &self.queue.waiting())
            .finish_non_exhaustive()
    }
}

fn make_endpoints(
    generation: &Arc<Generation>,
    known: &HashMap<&EndpointAddr, &Arc<Record>>,
    (queue, load, tally): (&Arc<Queue>, &Arc<PoolLoad>, &Arc<CachePadded<Tally>>),
    now: Instant,
) -> Arc<[Arc<Endpoint>]> {
    let config = &generation.config;
    let record_of = |endpoint: &config::Endpoint| {
        let known = known.get(&endpoint.address).map(|&record| record.clone());
        known.unwrap_or_else(|| Record::new(endpoint, config, queue, load, tally, now))
    };
    let endpoints = config.endpoints.iter().enumerate();
    endpoints
        .map(|(index, endpoint)| Arc::new(Endpoint::new(record_of(endpoint), index, generation)))
        .collect()
}
