use crossbeam_utils::CachePadded;

use crate::types::Counter;

/// What a cache did for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CacheResult {
    /// What was stored was given.
    Hit,
    /// It was given though it was old.
    Stale,
    /// It was given after an endpoint had said that it is still good.
    Refresh,
    /// It was not there.
    Miss,
    /// It was not asked for.
    Bypass,
}

/// How often a cache did what. All cores count here, and each result has a line of memory to itself.
#[derive(Debug, Default)]
pub(crate) struct Results([CachePadded<Counter>; CacheResult::ALL.len()]);

impl CacheResult {
    const ALL: [Self; 5] = [Self::Hit, Self::Stale, Self::Refresh, Self::Miss, Self::Bypass];

    /// The word of the access log and of metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Stale => "stale",
            Self::Refresh => "refresh",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
        }
    }
}

impl Results {
    pub(crate) fn count(&self, result: CacheResult) {
        if let Some(count) = self.0.get(result as usize) {
            count.count();
        }
    }

    /// The word of each result with its count.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        CacheResult::ALL.into_iter().zip(&self.0).map(|(result, count)| (result.word(), count.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_result_has_a_count_of_its_own() {
        let results = Results::default();
        for (more, result) in CacheResult::ALL.into_iter().enumerate() {
            (0..=more).for_each(|_| results.count(result));
        }
        let counted: Vec<_> = results.iter().collect();
        assert_eq!(counted, [("hit", 1), ("stale", 2), ("refresh", 3), ("miss", 4), ("bypass", 5)]);
    }
}
