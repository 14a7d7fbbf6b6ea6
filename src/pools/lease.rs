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
        let epoch = endpoint.epoch();
        Self { endpoint, epoch, is_probe: AtomicBool::new(begun == Begun::AsProbe), is_passed_on: false }
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Whether what the request comes to tells of the endpoint as it is now: not if it was ejected meanwhile.
    pub(super) fn is_current(&self) -> bool {
        self.epoch == self.endpoint.epoch()
    }

    /// Whether the trial waits for this request; true once at most.
    pub(super) fn take_probe(&self) -> bool {
        self.is_probe.load(Ordering::Relaxed) && self.is_probe.swap(false, Ordering::Relaxed)
    }

    /// Gives the place to the first request that waits, if the endpoint takes further work.
    fn pass_on(&self) -> bool {
        let endpoint = &self.endpoint;
        if endpoint.queue().waiting() == 0 || !endpoint.gets_work() || endpoint.load().is_on_trial() {
            return false;
        }
        let place = Self::new(endpoint.clone(), Begun::Usually);
        match endpoint.queue().hand_over(place) {
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
        self.endpoint.serve_waiting();
    }
}
