use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::hooks::Begun;

use super::endpoint::Endpoint;

/// A request's hold on an endpoint: it counts as in flight until this is dropped, however the request ends.
#[derive(Debug)]
pub(crate) struct Lease {
    endpoint: Arc<Endpoint>,
    /// The endpoint's epoch when the request came to it.
    epoch: u32,
    /// Whether the request's answer decides about the endpoint's trial, and has not come yet.
    is_probe: AtomicBool,
    /// Whether somebody else answers for the place by now.
    is_passed_on: bool,
}

impl Lease {
    pub(super) fn new(endpoint: Arc<Endpoint>, begun: Begun) -> Self {
        let epoch = endpoint.record().epoch();
        Self { endpoint, epoch, is_probe: AtomicBool::new(begun == Begun::AsProbe), is_passed_on: false }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Whether what the request comes to tells of the endpoint as it is now: not if it was ejected meanwhile.
    pub(super) fn is_current(&self) -> bool {
        self.epoch == self.endpoint.record().epoch()
    }

    /// Whether the trial waits for this request; true once at most.
    pub(super) fn take_probe(&self) -> bool {
        self.is_probe.load(Ordering::Relaxed) && self.is_probe.swap(false, Ordering::Relaxed)
    }

    /// Gives the place to the first request that waits, if the endpoint takes further work. It goes on with the newest
    /// generation, of whichever this one is.
    fn pass_on(&self) -> bool {
        let (record, load) = (self.endpoint.record(), self.endpoint.load());
        if record.queue().waiting() == 0
            || !record.gets_work()
            || load.is_on_trial()
            || load.is_beyond_limit()
        {
            return false;
        }
        let Some(endpoint) = record.current() else { return false };
        match record.queue().hand_over(Self::new(endpoint, Begun::Usually)) {
            Ok(()) => true,
            Err(mut place) => {
                place.is_passed_on = true;
                false
            }
        }
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if self.is_passed_on {
            return;
        }
        // A probe that came to nothing, since its client left, leaves room for another.
        if self.take_probe() && self.is_current() {
            self.endpoint.load().return_probe();
        }
        if self.pass_on() {
            return;
        }
        self.endpoint.load().end();
        // Somebody may have begun to wait since it was looked for.
        self.endpoint.record().serve_waiting();
    }
}
