use std::sync::atomic::{AtomicU64, Ordering};

/// How often a cache did what, by the words of the access log.
#[derive(Debug, Default)]
pub(crate) struct Results([AtomicU64; Self::WORDS.len()]);

impl Results {
    /// The words: what was stored was given, though it was old, or after an endpoint had said that it is still good; or it was
    /// not there, or not asked for.
    pub(crate) const WORDS: [&'static str; 5] = ["hit", "stale", "refresh", "miss", "bypass"];

    pub(crate) fn count(&self, word: &str) {
        let place = Self::WORDS.iter().position(|known| *known == word);
        if let Some(count) = place.and_then(|place| self.0.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Each word with its count.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> {
        Self::WORDS.into_iter().zip(self.0.iter().map(|count| count.load(Ordering::Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_word_has_a_count_of_its_own() {
        let results = Results::default();
        for word in ["hit", "miss", "miss", "no such word"] {
            results.count(word);
        }
        let counted: Vec<_> = results.iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(counted, [("hit", 1), ("miss", 2)]);
    }
}
