use std::collections::VecDeque;

use crate::config::spec::QueueSpec;

/// Requests that wait for room at any endpoint, by the bounds of the pool's queue.
///
/// The pool's own queue lets tasks wait, of which there are none here.
#[derive(Debug)]
pub(super) struct WaitingLine {
    size: usize,
    /// In the order of their arrival, so that their numbers rise.
    requests: VecDeque<usize>,
}

impl WaitingLine {
    pub(super) fn new(queue: &QueueSpec) -> Self {
        Self { size: queue.size as usize, requests: VecDeque::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Returns whether there was a place.
    pub(super) fn join(&mut self, request: usize) -> bool {
        let has_place = self.requests.len() < self.size;
        if has_place {
            self.requests.push_back(request);
        }
        has_place
    }

    pub(super) fn first(&self) -> Option<usize> {
        self.requests.front().copied()
    }

    pub(super) fn pop(&mut self) {
        self.requests.pop_front();
    }

    /// Returns whether the request still waited.
    pub(super) fn leave(&mut self, request: usize) -> bool {
        let place = self.requests.binary_search(&request);
        place.is_ok_and(|index| self.requests.remove(index).is_some())
    }
}
