use std::fmt;

use http::Extensions;

/// What a rate limit did to a request that came too fast, among the request's extensions; the strictest one
/// where a route has several limits. Requests within their rate have none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RateLimitVerdict {
    /// It waited for its turn.
    Delayed,
    /// It passed, because the limit is on trial (`mode: dry_run`).
    WouldReject,
    /// It was refused.
    Rejected,
}

impl RateLimitVerdict {
    /// One word for logs: `delayed`, `would_reject` or `rejected`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Delayed => "delayed",
            Self::WouldReject => "would_reject",
            Self::Rejected => "rejected",
        }
    }

    pub(super) fn record(self, extensions: &mut Extensions) {
        let strictest = extensions.get::<Self>().map_or(self, |known| self.max(*known));
        extensions.insert(strictest);
    }
}

impl fmt::Display for RateLimitVerdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
