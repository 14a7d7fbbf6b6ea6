use std::collections::{BTreeMap, HashMap};

use twox_hash::XxHash3_128;

use super::Purge;

/// Removals, each with its number. However many there are, whether one means an answer is known in the time that the answer's
/// own names take; all that is kept of one is a hash.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Purges {
    /// The number of the last removal of a URL, of a tag and of everything.
    names: HashMap<u128, u64>,
    /// The same of a prefix, with its length.
    prefixes: HashMap<u128, (u64, u32)>,
    /// Which lengths prefixes have, and the number of the last of each.
    lengths: BTreeMap<u32, u64>,
    /// The number of the last of all.
    last: u64,
}

/// What is kept of a removal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) hash: u128,
    /// The length of a prefix; `None` for what has to be the same as a whole.
    pub(super) prefix: Option<u32>,
}

/// What operators may know an answer by.
#[derive(Clone, Debug)]
pub(super) struct Names {
    urls: Vec<Vec<u8>>,
    /// Those of its URLs, its tags and of everything.
    hashes: Vec<u128>,
}

/// Different kinds of names have different hashes.
#[derive(Clone, Copy)]
enum Kind {
    All,
    Url,
    Prefix,
    Tag,
}

fn hash(kind: Kind, text: &[u8]) -> u128 {
    XxHash3_128::oneshot_with_seed(kind as u64, text)
}

// === impl Mark ===

impl Mark {
    pub(super) const fn whole(hash: u128) -> Self {
        Self { hash, prefix: None }
    }
}

impl From<&Purge> for Mark {
    fn from(purge: &Purge) -> Self {
        match purge {
            Purge::All => Self::whole(hash(Kind::All, b"")),
            Purge::Url(url) => Self::whole(hash(Kind::Url, url.as_bytes())),
            Purge::Tag(tag) => Self::whole(hash(Kind::Tag, tag.as_bytes())),
            Purge::Prefix(prefix) => Self {
                hash: hash(Kind::Prefix, prefix.as_bytes()),
                prefix: Some(u32::try_from(prefix.len()).unwrap_or(u32::MAX)),
            },
        }
    }
}

// === impl Names ===

impl Names {
    pub(super) fn new<'a>(urls: Vec<Vec<u8>>, tags: impl Iterator<Item = &'a [u8]>) -> Self {
        let mut hashes = vec![hash(Kind::All, b"")];
        hashes.extend(urls.iter().map(|url| hash(Kind::Url, url)));
        hashes.extend(tags.map(|tag| hash(Kind::Tag, tag)));
        Self { urls, hashes }
    }
}

// === impl Purges ===

impl Purges {
    pub(super) fn len(&self) -> usize {
        self.names.len() + self.prefixes.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub(super) fn has(&self, mark: Mark) -> bool {
        match mark.prefix {
            None => self.names.contains_key(&mark.hash),
            Some(_) => self.prefixes.contains_key(&mark.hash),
        }
    }

    /// Notes a removal; numbers only grow.
    pub(super) fn add(&mut self, mark: Mark, number: u64) {
        self.last = number;
        match mark.prefix {
            None => drop(self.names.insert(mark.hash, number)),
            Some(length) => {
                self.prefixes.insert(mark.hash, (number, length));
                self.lengths.insert(length, number);
            }
        }
    }

    /// Whether an answer with these names is meant by a removal that came after that one.
    pub(super) fn mean(&self, since: u64, names: impl FnOnce() -> Names) -> bool {
        if self.last <= since || self.is_empty() {
            return false;
        }
        let Names { urls, hashes } = names();
        let is_later = |number: u64| number > since;
        hashes.iter().any(|hash| self.names.get(hash).copied().is_some_and(is_later))
            || urls.iter().any(|url| self.mean_beginning(since, url))
    }

    fn mean_beginning(&self, since: u64, url: &[u8]) -> bool {
        let most = u32::try_from(url.len()).unwrap_or(u32::MAX);
        let mut lengths = self.lengths.range(..=most).filter(|(_, last)| **last > since);
        lengths.any(|(&length, _)| {
            let hash = hash(Kind::Prefix, &url[..length as usize]);
            self.prefixes.get(&hash).is_some_and(|(number, _)| *number > since)
        })
    }

    /// Forgets those up to this number.
    pub(super) fn settle(&mut self, number: u64) {
        self.names.retain(|_, last| *last > number);
        self.prefixes.retain(|_, (last, _)| *last > number);
        self.lengths.retain(|_, last| *last > number);
        // There may have been many.
        self.names.shrink_to_fit();
        self.prefixes.shrink_to_fit();
    }

    pub(super) fn clear(&mut self) {
        self.settle(u64::MAX);
    }

    /// All, with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u64, Mark)> {
        let names = self.names.iter().map(|(&hash, &number)| (number, Mark::whole(hash)));
        let prefixes = self.prefixes.iter();
        names.chain(prefixes.map(|(&hash, &(number, length))| (number, Mark { hash, prefix: Some(length) })))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(url: &str, tags: &[&str]) -> Names {
        Names::new(vec![url.as_bytes().to_vec()], tags.iter().map(|tag| tag.as_bytes()))
    }

    fn purges(all: &[Purge]) -> Purges {
        let mut purges = Purges::default();
        for (number, purge) in all.iter().enumerate() {
            purges.add(purge.into(), number as u64 + 1);
        }
        purges
    }

    #[test]
    fn a_removal_means_what_its_name_says() {
        let url = |url: &str| Purge::Url(url.to_owned());
        let prefix = |prefix: &str| Purge::Prefix(prefix.to_owned());
        let tag = |tag: &str| Purge::Tag(tag.to_owned());
        for (purge, expected) in [
            (url("http://a/b"), true),
            (url("http://a/"), false),
            (url("one"), false),
            (prefix("http://a/"), true),
            (prefix("http://a/b"), true),
            (prefix("http://a/bc"), false),
            (prefix("http://b"), false),
            (tag("one"), true),
            (tag("on"), false),
            (tag("http://a/b"), false),
            (Purge::All, true),
        ] {
            let purges = purges(std::slice::from_ref(&purge));
            assert_eq!(purges.mean(0, || names("http://a/b", &["one", "two"])), expected, "{purge:?}");
            assert!(!purges.mean(1, || names("http://a/b", &["one", "two"])), "it came later");
        }
    }

    #[test]
    fn what_is_settled_means_nothing_any_more() {
        let prefix = |prefix: &str| Purge::Prefix(prefix.to_owned());
        let mut purges = purges(&[prefix("http"), Purge::Tag("one".to_owned()), prefix("http")]);
        assert_eq!((purges.len(), purges.iter().count()), (2, 2));
        purges.settle(2);
        assert_eq!(purges.iter().collect::<Vec<_>>(), [(3, Mark::from(&prefix("http")))]);
        assert!(purges.mean(2, || names("http://a", &[])) && !purges.mean(3, || names("http://a", &[])));
        purges.clear();
        assert!(purges.is_empty() && !purges.mean(0, || names("http://a", &["one"])));
    }
}
