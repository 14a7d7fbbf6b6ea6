use std::mem;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crossbeam_utils::CachePadded;
use parking_lot::Mutex;
use tokio::time::Instant;

use crate::config;
use crate::hooks::{Load, Member, PoolLoad};
use crate::types::{EndpointAddr, Rarely};

use super::endpoint::{Endpoint, State};
use super::health::History;
use super::queue::Queue;
use super::standing::Health;
use super::stats::EndpointStats;
use super::tally::Tally;
use super::window::Window;

/// What is known of an address of a pool, whatever the configuration says of it meanwhile: the endpoints of all
/// generations that have the address share it.
pub(super) struct Record {
    /// How policies see the endpoint.
    member: Member,
    state: AtomicU8,
    /// Since when the state is what it is.
    since: Mutex<Instant>,
    gets_work: AtomicBool,
    epoch: AtomicU32,
    pub(super) failures_in_row: AtomicU32,
    pub(super) window: Window,
    pub(super) history: History,
    pub(super) stats: EndpointStats,
    /// Requests write it, and what stands beside it is read by those that pick.
    pub(super) tally: CachePadded<Tally>,
    /// That of its pool.
    pool_tally: Arc<CachePadded<Tally>>,
    /// What the first probes find before the address is one of the pool's.
    ahead: Mutex<Health>,
    /// Whether HTTP/2 was chosen last, where the endpoint chooses.
    chose_h2: AtomicBool,
    told: Rarely,
    queue: Arc<Queue>,
    /// Where new requests go; none once the address is removed. Looked at only where somebody waits.
    current: Mutex<Weak<Endpoint>>,
}

impl Record {
    pub(super) fn new(
        endpoint: &config::Endpoint,
        pool: &config::Pool,
        queue: &Arc<Queue>,
        load: &Arc<PoolLoad>,
        tally: &Arc<CachePadded<Tally>>,
        now: Instant,
    ) -> Arc<Self> {
        let slow_start = pool.slow_start.get();
        let load = Load::new(endpoint.weight, endpoint.max_requests, slow_start, load.clone(), now);
        Arc::new(Self {
            member: Member::new(Arc::new(endpoint.address.clone()), Arc::new(CachePadded::new(load))),
            state: AtomicU8::new(State::Checking as u8),
            since: Mutex::new(now),
            gets_work: AtomicBool::new(false),
            epoch: AtomicU32::new(0),
            failures_in_row: AtomicU32::new(0),
            window: Window::new(window_of(pool)),
            history: History::default(),
            stats: EndpointStats::default(),
            tally: CachePadded::default(),
            pool_tally: tally.clone(),
            ahead: Mutex::new(Health::Checking),
            chose_h2: AtomicBool::new(false),
            told: Rarely::default(),
            queue: queue.clone(),
            current: Mutex::default(),
        })
    }

    pub(super) fn member(&self) -> &Member {
        &self.member
    }

    pub(super) fn address(&self) -> &Arc<EndpointAddr> {
        self.member.shared_address()
    }

    pub(super) fn load(&self) -> &Load {
        self.member.load()
    }

    pub(super) fn pool_tally(&self) -> &Tally {
        &self.pool_tally
    }

    // === Generations ===

    /// `endpoint` stands for the address from now on, as its generation has it.
    pub(super) fn adopt(&self, endpoint: &Arc<Endpoint>) {
        let pool = endpoint.pool();
        self.load().set_limit(endpoint.config().max_requests);
        self.load().set_slow_start(pool.slow_start.get());
        self.window.set_length(window_of(pool));
        *self.current.lock() = Arc::downgrade(endpoint);
    }

    /// The address is removed: what is in flight finishes, and nothing new begins.
    pub(super) fn retire(&self, now: Instant) {
        self.set_gets_work(false);
        self.publish(State::Draining, now);
        self.load().end_trial();
        *self.current.lock() = Weak::new();
    }

    /// Notes what a probe found before the address is one of the pool's; gives back what was found before that.
    pub(super) fn note_ahead(&self, found: Health) -> Health {
        mem::replace(&mut self.ahead.lock(), found)
    }

    pub(super) fn found_ahead(&self) -> Health {
        *self.ahead.lock()
    }

    // === State ===

    pub(super) fn state(&self) -> State {
        match state_of(self.state.load(Ordering::Acquire)) {
            State::Draining if self.load().in_flight() == 0 => State::Drained,
            state => state,
        }
    }

    /// Tells the state from now on. Gives back the one before, if it was another.
    pub(super) fn publish(&self, state: State, now: Instant) -> Option<State> {
        let before = state_of(self.state.swap(state as u8, Ordering::AcqRel));
        (before != state).then(|| {
            *self.since.lock() = now;
            before
        })
    }

    /// When that was told for the first time.
    pub(super) fn since(&self) -> Instant {
        *self.since.lock()
    }

    /// Whether it is among those that may be picked.
    pub(super) fn gets_work(&self) -> bool {
        self.gets_work.load(Ordering::SeqCst)
    }

    pub(super) fn set_gets_work(&self, gets_work: bool) {
        self.gets_work.store(gets_work, Ordering::SeqCst);
    }

    /// The number of its ejections and returns: what requests of an earlier epoch come to says nothing of this one.
    pub(super) fn epoch(&self) -> u32 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn begin_ejection(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.load().end_trial();
    }

    /// Lets one request at a time through, until it is known whether the endpoint has recovered.
    pub(super) fn begin_trial(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.load().forget_latency();
        self.forget_failures();
        self.load().begin_trial();
    }

    pub(super) fn forget_failures(&self) {
        self.window.forget();
        self.failures_in_row.store(0, Ordering::Relaxed);
    }

    pub(super) fn chose_h2(&self) -> bool {
        self.chose_h2.load(Ordering::Relaxed)
    }

    pub(super) fn note_choice(&self, is_h2: bool) {
        if self.chose_h2() != is_h2 {
            self.chose_h2.store(is_h2, Ordering::Relaxed);
        }
    }

    /// Whether a failure that requests repeat may be told again: once in a while is enough for the log.
    pub(super) fn may_tell(&self, now: Instant) -> bool {
        self.told.may_tell(now)
    }

    // === Requests that wait ===

    pub(super) fn queue(&self) -> &Queue {
        &self.queue
    }

    /// The endpoint of the newest generation.
    pub(super) fn current(&self) -> Option<Arc<Endpoint>> {
        self.current.lock().upgrade()
    }

    /// Gives room that there is to requests that wait.
    pub(super) fn serve_waiting(&self) {
        while self.queue.waiting() > 0 && self.gets_work() {
            let Some(place) = self.current().and_then(|endpoint| endpoint.try_place()) else { return };
            // Back it comes when nobody waits any more, and ends here.
            if self.queue.hand_over(place).is_err() {
                return;
            }
        }
    }
}

/// What is published as a number.
fn state_of(number: u8) -> State {
    match number {
        0 => State::Checking,
        1 => State::Fit,
        2 => State::Unfit,
        3 => State::Ejected,
        _ => State::Draining,
    }
}

/// How far outlier detection looks back; zero for not at all.
fn window_of(pool: &config::Pool) -> Duration {
    pool.outlier.as_ref().map_or(Duration::ZERO, |limits| limits.window.get())
}
