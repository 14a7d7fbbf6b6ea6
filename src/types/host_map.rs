use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::HostPattern;

/// Values by host: an exact name goes before wildcards, and of those the longest before the others.
#[derive(Clone, Debug)]
pub(crate) struct HostMap<T> {
    exact: HashMap<Box<str>, T, RandomState>,
    /// By what follows the star, with its leading dot.
    wildcard: HashMap<Box<str>, T, RandomState>,
    /// The most dots that a suffix has; bounds the look-ups that a long host can cause.
    deepest: usize,
}

impl<T> HostMap<T> {
    pub(crate) fn is_empty(&self) -> bool {
        self.exact.is_empty() && self.wildcard.is_empty()
    }

    pub(crate) fn insert(&mut self, pattern: HostPattern, value: T) {
        match pattern {
            HostPattern::Exact(name) => self.exact.insert(name.into(), value),
            HostPattern::Wildcard(suffix) => {
                self.deepest = self.deepest.max(suffix.matches('.').count());
                self.wildcard.insert(suffix.into(), value)
            }
        };
    }

    /// What is there for a host in lower case, without a port or a closing dot.
    pub(crate) fn get(&self, host: &str) -> Option<&T> {
        self.all_for(host).next()
    }

    /// All that is there for such a host, the most specific first.
    pub(crate) fn all_for<'m, 'h>(&'m self, host: &'h str) -> impl Iterator<Item = &'m T> + use<'m, 'h, T> {
        let wildcards = self.suffixes(host).filter_map(|suffix| self.wildcard.get(suffix));
        self.exact.get(host).into_iter().chain(wildcards)
    }

    /// What a wildcard for `host` can end in, the longest first.
    fn suffixes<'h>(&self, host: &'h str) -> impl Iterator<Item = &'h str> + use<'h, T> {
        let start = host.rmatch_indices('.').take(self.deepest).last();
        let reach = start.map_or("", |(start, _)| &host[start..]);
        // A wildcard stands for at least one character.
        reach.match_indices('.').map(|(at, _)| &reach[at..]).filter(|suffix| suffix.len() < host.len())
    }
}

impl<T> Default for HostMap<T> {
    fn default() -> Self {
        Self { exact: HashMap::default(), wildcard: HashMap::default(), deepest: 0 }
    }
}

impl<T> FromIterator<(HostPattern, T)> for HostMap<T> {
    fn from_iter<I: IntoIterator<Item = (HostPattern, T)>>(entries: I) -> Self {
        let mut map = Self::default();
        for (pattern, value) in entries {
            map.insert(pattern, value);
        }
        map
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(patterns: &[&str]) -> HostMap<String> {
        patterns.iter().map(|text| (text.parse().unwrap(), (*text).to_owned())).collect()
    }

    #[test]
    fn the_exact_name_goes_first_then_the_longest_wildcard() {
        let map = map(&["*.com", "*.b.example.com", "a.b.example.com", "*.example.com"]);
        let found = |host| map.get(host).map(String::as_str);
        assert_eq!(found("a.b.example.com"), Some("a.b.example.com"));
        assert_eq!(found("x.y.b.example.com"), Some("*.b.example.com"));
        assert_eq!(found("b.example.com"), Some("*.example.com"));
        assert_eq!(found("example.com"), Some("*.com"));
        assert_eq!([found("com"), found(".com"), found("")], [None; 3]);
    }

    #[test]
    fn a_host_of_many_labels_costs_no_more_look_ups_than_the_deepest_wildcard_has() {
        let host = format!("{}example.org", "a.".repeat(10_000));
        assert_eq!(map(&["*.example.com"]).suffixes(&host).count(), 2);
        assert_eq!(map(&["*.example.com"]).get(&host), None);
        assert_eq!(map(&["*.example.org"]).get(&host).map(String::as_str), Some("*.example.org"));
    }
}
