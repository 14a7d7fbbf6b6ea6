use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::config::spec::{PathSpec, RegexSpec};

use super::conditions::{Condition, hold};
use super::{Parts, RouteId};

/// A map whose keys come from the configuration alone. Its hasher need not withstand keys that are chosen to
/// collide, since clients look up and never insert. foldhash is seeded per map, takes a third off the time of a
/// `find` against the hasher of the standard library (`benches/router.rs`), and is in the tree through `h2`.
pub(super) type Map<V> = HashMap<Box<str>, V, RandomState>;

/// What decides whether two routes are for the same paths.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum PathKey<'a> {
    Exact(&'a str),
    /// The text of the expression.
    Regex(&'a str),
    /// The prefix without its closing slash; empty for `/`.
    Prefix(&'a str),
    Any,
}

/// The routes of one host, by path.
#[derive(Debug, Default)]
pub(super) struct PathTable {
    exact: Map<Bucket>,
    regexes: Vec<(RegexSpec, Bucket)>,
    prefixes: PrefixTable,
    any: Bucket,
}

#[derive(Debug, Default)]
struct PrefixTable {
    by_stem: Map<usize>,
    prefixes: Vec<Prefix>,
    /// The most segments that a stem has; bounds the look-ups that a long path can cause.
    deepest: usize,
}

#[derive(Debug)]
struct Prefix {
    bucket: Bucket,
    /// The longest prefix that is a proper prefix of this one. It is for every path that this one is for, so
    /// once the longest is found the others need no look-up.
    shorter: Option<usize>,
}

/// The routes of one host and one path, in the order in which they are tried.
#[derive(Debug, Default)]
struct Bucket(Vec<Entry>);

#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) route: RouteId,
    pub(super) conditions: Arc<[Condition]>,
}

// === PathKey ===

impl<'a> PathKey<'a> {
    pub(super) fn of(path: Option<&'a PathSpec>) -> Self {
        match path {
            None => Self::Any,
            Some(PathSpec::Exact(path)) => Self::Exact(path),
            Some(PathSpec::Regex(regex)) => Self::Regex(regex.get().as_str()),
            Some(PathSpec::Prefix(prefix)) => Self::Prefix(stem(prefix)),
        }
    }
}

// === PathTable ===

impl PathTable {
    /// Takes the routes in the order in which they are to be tried.
    pub(super) fn build<'a>(tried: impl IntoIterator<Item = (Option<&'a PathSpec>, Entry)>) -> Self {
        let mut table = Self::default();
        for (path, entry) in tried {
            table.bucket_of(path).0.push(entry);
        }
        table.prefixes.link();
        table
    }

    pub(super) fn find(&self, parts: &Parts<'_>) -> Option<RouteId> {
        let exact = || self.exact.get(parts.path)?.find(parts);
        let regexes = || {
            self.regexes
                .iter()
                .find_map(|(regex, bucket)| regex.get().is_match(parts.path).then(|| bucket.find(parts))?)
        };
        let prefixes =
            || self.prefixes.longest_first(parts.path).find_map(|prefix| prefix.bucket.find(parts));
        exact().or_else(regexes).or_else(prefixes).or_else(|| self.any.find(parts))
    }

    fn bucket_of(&mut self, path: Option<&PathSpec>) -> &mut Bucket {
        match path {
            None => &mut self.any,
            Some(PathSpec::Exact(path)) => self.exact.entry(path.as_str().into()).or_default(),
            Some(PathSpec::Regex(regex)) => self.bucket_of_regex(regex),
            Some(PathSpec::Prefix(prefix)) => self.prefixes.bucket_of(stem(prefix)),
        }
    }

    /// Routes come ranked, so those with one expression come one after the other.
    fn bucket_of_regex(&mut self, regex: &RegexSpec) -> &mut Bucket {
        let is_known = self.regexes.last().is_some_and(|(last, _)| last == regex);
        if !is_known {
            self.regexes.push((regex.clone(), Bucket::default()));
        }
        let last = self.regexes.len() - 1;
        &mut self.regexes[last].1
    }
}

// === PrefixTable ===

impl PrefixTable {
    fn bucket_of(&mut self, stem: &str) -> &mut Bucket {
        let index = *self.by_stem.entry(stem.into()).or_insert_with(|| {
            self.prefixes.push(Prefix { bucket: Bucket::default(), shorter: None });
            self.deepest = self.deepest.max(stem.matches('/').count());
            self.prefixes.len() - 1
        });
        &mut self.prefixes[index].bucket
    }

    fn link(&mut self) {
        for (stem, &index) in &self.by_stem {
            self.prefixes[index].shorter = parent(stem).and_then(|parent| self.longest(parent));
        }
    }

    fn longest_first(&self, path: &str) -> impl Iterator<Item = &Prefix> {
        let longest = self.longest(self.clip(path));
        std::iter::successors(longest, |&index| self.prefixes[index].shorter)
            .map(|index| &self.prefixes[index])
    }

    /// The path without the segments below the deepest stem.
    fn clip<'p>(&self, path: &'p str) -> &'p str {
        path.match_indices('/').nth(self.deepest).map_or(path, |(end, _)| &path[..end])
    }

    fn longest(&self, path: &str) -> Option<usize> {
        std::iter::successors(Some(path), |path| parent(path))
            .find_map(|stem| self.by_stem.get(stem).copied())
    }
}

// === Bucket ===

impl Bucket {
    fn find(&self, parts: &Parts<'_>) -> Option<RouteId> {
        self.0.iter().find(|entry| hold(&entry.conditions, parts)).map(|entry| entry.route)
    }
}

/// Whether a route with this path is for `path`: the definition that the table's look-ups must agree with.
pub(super) fn is_for(spec: &PathSpec, path: &str) -> bool {
    match spec {
        PathSpec::Exact(exact) => exact == path,
        PathSpec::Regex(regex) => regex.get().is_match(path),
        PathSpec::Prefix(prefix) => {
            path.strip_prefix(stem(prefix)).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        }
    }
}

fn stem(prefix: &str) -> &str {
    prefix.strip_suffix('/').unwrap_or(prefix)
}

fn parent(stem: &str) -> Option<&str> {
    stem.rfind('/').map(|end| &stem[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> PathSpec {
        PathSpec::Prefix(text.to_owned())
    }

    fn table(prefixes: &[&str]) -> PrefixTable {
        let mut table = PrefixTable::default();
        for (index, prefix) in prefixes.iter().enumerate() {
            let entry = Entry { route: RouteId(index), conditions: Arc::new([]) };
            table.bucket_of(stem(prefix)).0.push(entry);
        }
        table.link();
        table
    }

    fn found(table: &PrefixTable, path: &str) -> Vec<usize> {
        table.longest_first(path).flat_map(|prefix| &prefix.bucket.0).map(|entry| entry.route.0).collect()
    }

    #[test]
    fn a_prefix_ends_at_a_segment_with_or_without_its_closing_slash() {
        for spec in [prefix("/api"), prefix("/api/")] {
            for path in ["/api", "/api/", "/api/x", "/api/x/y"] {
                assert!(is_for(&spec, path), "{spec} {path}");
            }
            for path in ["/", "/ap", "/apix", "/apix/api", "/x/api"] {
                assert!(!is_for(&spec, path), "{spec} {path}");
            }
        }
        assert!(is_for(&prefix("/"), "/") && is_for(&prefix("/"), "/x/y"));
    }

    #[test]
    fn prefixes_are_tried_from_the_longest_and_gaps_are_skipped() {
        let table = table(&["/", "/a/b/c/", "/a", "/b"]);
        assert_eq!(found(&table, "/a/b/c/d/e"), [1, 2, 0]);
        assert_eq!(found(&table, "/a/b/c"), [1, 2, 0]);
        assert_eq!(found(&table, "/a/b/"), [2, 0]);
        assert_eq!(found(&table, "/ab"), [0]);
    }

    #[test]
    fn without_a_root_prefix_other_paths_find_nothing() {
        let table = table(&["/a/b"]);
        assert!(found(&table, "/").is_empty());
        assert!(found(&table, "/a").is_empty());
        assert!(found(&table, "/b/a/b").is_empty());
    }

    #[test]
    fn a_path_of_many_segments_costs_no_more_look_ups_than_the_deepest_prefix_has() {
        let table = table(&["/a/b"]);
        assert_eq!(table.clip(&"/a".repeat(10_000)), "/a/a");
    }
}
