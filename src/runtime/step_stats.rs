use crate::types::Counter;

/// What a filter on a route has decided since the process began, but for the requests that it let pass: these are all the
/// others of the route that have come to it.
#[derive(Debug, Default)]
pub(crate) struct StepStats([Counter; DECISIONS]);

/// What a filter made of a request that did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It answered the request itself.
    Answered,
    /// It refused the request.
    Rejected,
    /// It failed, and the request with it.
    Failed,
}

const DECISIONS: usize = 3;

impl Decision {
    /// All there are, as labels of metrics.
    pub(crate) const NAMES: [&str; DECISIONS] = ["answered", "rejected", "failed"];
}

impl StepStats {
    pub(crate) fn count(&self, decision: Decision) {
        self.0[decision as usize].count();
    }

    /// In the order of [`Decision::NAMES`].
    pub(crate) fn decisions(&self) -> [u64; DECISIONS] {
        self.0.each_ref().map(Counter::get)
    }
}
