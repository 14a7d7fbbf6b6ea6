use crate::telemetry::RequestStats;
use crate::types::Counter;

use super::Cause;

/// What the requests of a route came to since the process began; by its name it goes on over reloads.
#[derive(Debug, Default)]
pub(crate) struct RouteStats {
    pub(crate) requests: RequestStats,
    pub(crate) errors: CauseCounts,
}

/// How often the edge answered with an error of its own, by cause.
#[derive(Debug)]
pub(crate) struct CauseCounts([Counter; Cause::WORDS.len()]);

impl CauseCounts {
    pub(crate) fn count(&self, cause: &Cause) {
        self.0[cause.index()].count();
    }

    /// Each word with its count, if there is any.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.0.iter().map(Counter::get);
        Cause::WORDS.into_iter().zip(counts).filter(|(_, count)| *count > 0)
    }
}

impl Default for CauseCounts {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn words_of_hooks_are_counted_under_their_kind() {
        let counts = CauseCounts::default();
        counts.count(&Cause::NoRoute);
        counts.count(&Cause::HookFailed(StatusCode::BAD_GATEWAY, "mine"));
        counts.count(&Cause::Rejected(StatusCode::FORBIDDEN, "too_old".into()));
        counts.count(&Cause::Rejected(StatusCode::FORBIDDEN, "too_new".into()));
        let mut counted: Vec<_> = counts.iter().collect();
        counted.sort_unstable();
        assert_eq!(counted, [("hook_failed", 1), ("no_route", 1), ("rejected", 2)]);
    }
}
