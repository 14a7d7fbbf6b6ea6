use serde::{Deserialize, Serialize};
use twox_hash::XxHash3_64;

use crate::cache::Purge;

/// What operators have removed and may still lie in files. It counts from the moment that it is known, and until all files
/// have been looked through.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rules {
    /// How many there have ever been. What came later has seen as many.
    sequence: u64,
    open: Vec<(u64, Purge)>,
}

/// Beyond, everything is removed.
const MOST: usize = 1000;

impl Rules {
    /// The rules as they were written; `None` when they are not what was written.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (sum, text) = bytes.split_first_chunk::<8>()?;
        let is_whole = XxHash3_64::oneshot(text) == u64::from_le_bytes(*sum);
        is_whole.then(|| serde_json::from_slice(text).ok()).flatten()
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        // A number and texts always make JSON.
        let text = serde_json::to_vec(self).unwrap_or_default();
        let mut bytes = XxHash3_64::oneshot(&text).to_le_bytes().to_vec();
        bytes.extend_from_slice(&text);
        bytes
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// Its number.
    pub(super) fn add(&mut self, purge: Purge) -> u64 {
        self.sequence += 1;
        let purge = if self.open.len() < MOST { purge } else { Purge::All };
        if purge == Purge::All {
            self.open.clear();
        }
        self.open.push((self.sequence, purge));
        self.sequence
    }

    /// Whether an answer that came when there had been so many rules is removed by one that came later.
    pub(super) fn remove(&self, sequence: u64, is_meant: impl Fn(&Purge) -> bool) -> bool {
        // Those that came last stand last.
        let later = self.open.iter().rev().take_while(|(number, _)| *number > sequence);
        later.into_iter().any(|(_, purge)| is_meant(purge))
    }

    /// Forgets those up to this number, since no file is left that they are for.
    pub(super) fn settle(&mut self, sequence: u64) {
        self.open.retain(|(number, _)| *number > sequence);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(tag: &str) -> Purge {
        Purge::Tag(tag.to_owned())
    }

    #[test]
    fn a_rule_is_for_what_came_before_it() {
        let mut rules = Rules::default();
        let is_a = |purge: &Purge| *purge == tag("a");
        assert_eq!((rules.add(tag("a")), rules.add(tag("b"))), (1, 2));
        assert!(rules.remove(0, is_a) && !rules.remove(1, is_a) && !rules.remove(0, |_| false));
        let mut read = Rules::decode(&rules.encode()).unwrap();
        assert_eq!(read, rules);
        read.settle(1);
        assert!(!read.remove(0, is_a) && !read.is_empty());
        read.settle(2);
        assert!(read.is_empty());
        assert_eq!(read.add(tag("c")), 3);
    }

    #[test]
    fn what_has_changed_is_not_read() {
        let mut rules = Rules::default();
        rules.add(tag("a"));
        let bytes = rules.encode();
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Rules::decode(&changed), None, "{at}");
            assert_eq!(Rules::decode(&bytes[..at]), None, "{at}");
        }
    }

    #[test]
    fn too_many_rules_are_one_for_all() {
        let mut rules = Rules::default();
        for number in 0..=MOST {
            rules.add(tag(&number.to_string()));
        }
        assert_eq!(rules.open, [(MOST as u64 + 1, Purge::All)]);
    }
}
