use twox_hash::XxHash3_64;

use crate::cache::Purge;
use crate::cache::purges::{Mark, Names, Purges};

/// What operators have removed and may still lie in files. It counts from the moment that it is known, and until all files
/// have been looked through.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Rules {
    /// How many there have ever been. What came later has seen as many.
    sequence: u64,
    open: Purges,
    /// Those that are not in their file yet.
    fresh: Vec<(u64, Mark)>,
    /// How many records there are in the file; `None` while it has to be written as a whole.
    written: Option<usize>,
}

/// What a file lacks of the rules.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unsaved {
    Nothing,
    /// To be put behind what is there.
    More(Vec<u8>),
    /// To be put in the place of what is there.
    Whole(Vec<u8>),
}

/// Beyond, everything is removed. Each takes some 40 bytes of memory, and of the file.
const MOST: usize = 900_000;
/// So many records may be put behind those that stand in the file at first.
const MOST_MORE: usize = 500_000;
/// The bytes of a record: the length of a prefix, or what else it is; a number; a hash; a checksum.
const RECORD: usize = 4 + 8 + 16 + 8;
/// The first record, whose number is the sequence.
const FIRST: u32 = u32::MAX;
/// One of what has to be the same as a whole.
const WHOLE: u32 = u32::MAX - 1;

impl Rules {
    /// The rules as they were written; `None` when they are not what was written.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (records, rest) = bytes.as_chunks::<RECORD>();
        let (first, more) = records.split_first().filter(|_| rest.is_empty())?;
        let (FIRST, sequence, 0) = read(0, first)? else { return None };
        let mut rules = Self { sequence, written: Some(records.len()), ..Self::default() };
        for (index, record) in more.iter().enumerate() {
            let (kind, number, hash) = read(index + 1, record).filter(|(kind, ..)| *kind != FIRST)?;
            rules.open.add(Mark { hash, prefix: (kind != WHOLE).then_some(kind) }, number);
            rules.sequence = rules.sequence.max(number);
        }
        Some(rules)
    }

    /// What is to be written. It is taken for written from now on, unless [`is_lost`](Self::is_lost) is said of it.
    pub(super) fn unsaved(&mut self) -> Unsaved {
        let fresh = std::mem::take(&mut self.fresh);
        match self.written {
            Some(_) if fresh.is_empty() => Unsaved::Nothing,
            Some(written) if written + fresh.len() <= self.open.len() + MOST_MORE => {
                self.written = Some(written + fresh.len());
                Unsaved::More(encode(written, fresh.into_iter()))
            }
            _ => {
                self.written = Some(1 + self.open.len());
                let mut bytes = Vec::with_capacity((1 + self.open.len()) * RECORD);
                write(&mut bytes, 0, (FIRST, self.sequence, 0));
                // In the order of their numbers, as they are added.
                let mut open: Vec<_> = self.open.iter().collect();
                open.sort_unstable_by_key(|(number, _)| *number);
                bytes.extend(encode(1, open.into_iter()));
                Unsaved::Whole(bytes)
            }
        }
    }

    /// What was to be written may not have been.
    pub(super) fn is_lost(&mut self) {
        self.written = None;
    }

    pub(super) fn sequence(&self) -> u64 {
        self.sequence
    }

    pub(super) fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    pub(super) fn add(&mut self, purge: &Purge) {
        self.add_mark(purge.into());
    }

    pub(super) fn add_mark(&mut self, mark: Mark) {
        let all = Mark::from(&Purge::All);
        let is_too_much = self.open.len() >= MOST && !self.open.has(mark);
        if is_too_much {
            log::warn!("a cache is emptied, since more was removed than could be looked for most={MOST}");
        }
        let mark = if is_too_much { all } else { mark };
        if mark == all {
            self.open.clear();
            self.written = None;
        }
        self.sequence += 1;
        self.open.add(mark, self.sequence);
        match self.written {
            Some(_) => self.fresh.push((self.sequence, mark)),
            None => self.fresh.clear(),
        }
        if self.fresh.len() > MOST_MORE {
            self.written = None;
        }
    }

    /// Whether an answer that came when there had been so many rules is removed by one that came later.
    pub(super) fn remove(&self, sequence: u64, names: impl FnOnce() -> Names) -> bool {
        self.open.mean(sequence, names)
    }

    /// Forgets those up to this number, since no file is left that they are for.
    pub(super) fn settle(&mut self, sequence: u64) {
        self.open.settle(sequence);
        self.written = None;
    }
}

fn encode(first: usize, rules: impl Iterator<Item = (u64, Mark)>) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (index, (number, mark)) in rules.enumerate() {
        write(&mut bytes, first + index, (mark.prefix.unwrap_or(WHOLE), number, mark.hash));
    }
    bytes
}

fn write(bytes: &mut Vec<u8>, index: usize, (kind, number, hash): (u32, u64, u128)) {
    let start = bytes.len();
    bytes.extend_from_slice(&kind.to_le_bytes());
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(&hash.to_le_bytes());
    // No record passes for one at another place.
    let sum = XxHash3_64::oneshot_with_seed(index as u64, &bytes[start..]);
    bytes.extend_from_slice(&sum.to_le_bytes());
}

fn read(index: usize, record: &[u8; RECORD]) -> Option<(u32, u64, u128)> {
    let (content, sum) = record.split_last_chunk::<8>()?;
    if XxHash3_64::oneshot_with_seed(index as u64, content) != u64::from_le_bytes(*sum) {
        return None;
    }
    let (kind, rest) = content.split_first_chunk()?;
    let (number, hash) = rest.split_first_chunk()?;
    Some((u32::from_le_bytes(*kind), u64::from_le_bytes(*number), u128::from_le_bytes(hash.try_into().ok()?)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(tag: &str) -> Purge {
        Purge::Tag(tag.to_owned())
    }

    fn removes(rules: &Rules, sequence: u64, tag: &str) -> bool {
        rules.remove(sequence, || Names::new(Vec::new(), std::iter::once(tag.as_bytes())))
    }

    /// The file after what is to be written has been.
    fn saved(rules: &mut Rules, file: &mut Vec<u8>) {
        match rules.unsaved() {
            Unsaved::Nothing => {}
            Unsaved::More(more) => file.extend(more),
            Unsaved::Whole(whole) => *file = whole,
        }
    }

    #[test]
    fn a_rule_is_for_what_came_before_it() {
        let mut rules = Rules::default();
        rules.add(&tag("a"));
        rules.add(&tag("b"));
        assert!(removes(&rules, 0, "a") && !removes(&rules, 1, "a") && !removes(&rules, 0, "c"));
        let mut file = Vec::new();
        saved(&mut rules, &mut file);
        let mut read = Rules::decode(&file).unwrap();
        assert_eq!(read, rules);
        read.settle(1);
        assert!(!removes(&read, 0, "a") && !read.is_empty());
        read.settle(2);
        assert!(read.is_empty());
        read.add(&tag("c"));
        assert_eq!(read.sequence(), 3);
        let none = Rules::decode(&{
            saved(&mut read, &mut file);
            file
        });
        assert_eq!(none.unwrap().sequence(), 3);
    }

    #[test]
    fn what_comes_is_put_behind_what_is_there() {
        let (mut rules, mut file) = (Rules::default(), Vec::new());
        saved(&mut rules, &mut file);
        assert_eq!(file.len(), RECORD);
        for name in ["a", "b"] {
            rules.add(&tag(name));
            rules.add(&Purge::Prefix(name.to_owned()));
            let Unsaved::More(more) = rules.unsaved() else { panic!("the rest is there") };
            assert_eq!(more.len(), 2 * RECORD);
            file.extend(more);
            assert_eq!((rules.unsaved(), Rules::decode(&file).as_ref()), (Unsaved::Nothing, Some(&rules)));
        }
        rules.add(&tag("c"));
        assert!(matches!(rules.unsaved(), Unsaved::More(_)));
        rules.is_lost();
        saved(&mut rules, &mut file);
        assert_eq!((file.len(), Rules::decode(&file)), (6 * RECORD, Some(rules)));
    }

    #[test]
    fn what_has_changed_is_not_read() {
        let (mut rules, mut bytes) = (Rules::default(), Vec::new());
        rules.add(&tag("a"));
        rules.add(&tag("b"));
        saved(&mut rules, &mut bytes);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(Rules::decode(&changed), None, "{at}");
            let is_record = at % RECORD == 0 && at > 0;
            assert_eq!(Rules::decode(&bytes[..at]).is_some(), is_record, "{at}");
        }
        let mut swapped = bytes[..RECORD].to_vec();
        swapped.extend_from_slice(&bytes[2 * RECORD..]);
        swapped.extend_from_slice(&bytes[RECORD..2 * RECORD]);
        assert_eq!(Rules::decode(&swapped), None);
    }

    #[test]
    fn many_rules_remove_what_they_mean_and_too_many_everything() {
        let mut rules = Rules::default();
        for number in 0..MOST {
            rules.add(&tag(&number.to_string()));
        }
        assert!(removes(&rules, 0, "899999") && !removes(&rules, 0, "other"));
        rules.add(&tag("0"));
        assert!(!removes(&rules, 0, "other"), "it is there already");
        rules.add(&tag("one more"));
        assert!(removes(&rules, 0, "other") && rules.open.len() == 1);
    }
}
