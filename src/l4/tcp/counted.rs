use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::time::Instant;

use crate::pools::{Endpoint, Uncounted};

use super::{Relay, Relayed};

/// A relay whose bytes are counted for its endpoint while it moves them.
pub(super) struct Counted<'a, F> {
    relay: &'a mut Relay<F>,
    endpoint: &'a Endpoint,
    /// What it had moved when it was last looked at.
    moved: (u64, u64),
    uncounted: Uncounted,
}

impl<'a, F> Counted<'a, F> {
    pub(super) fn new(relay: &'a mut Relay<F>, endpoint: &'a Endpoint) -> Self {
        Self { relay, endpoint, moved: (0, 0), uncounted: Uncounted::default() }
    }

    fn note(&mut self) {
        let (inward, outward) = self.relay.moved();
        self.uncounted.sent(inward - self.moved.0);
        self.uncounted.received(outward - self.moved.1);
        self.moved = (inward, outward);
        if self.uncounted.is_due() {
            self.uncounted.settle(self.endpoint);
        }
    }
}

impl<F: FnOnce(Instant) + Unpin> Future for Counted<'_, F> {
    type Output = Relayed;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Relayed> {
        let polled = Pin::new(&mut *self.relay).poll(cx);
        self.note();
        polled
    }
}

impl<F> Drop for Counted<'_, F> {
    fn drop(&mut self) {
        self.uncounted.settle(self.endpoint);
    }
}
