//! A limiter's keys as bytes: the version, the seed of the keys, then each key with what it owes.

use std::sync::OnceLock;
use std::time::Duration;

use tokio::time::Instant;

use crate::hooks::{Export, ImportError, KeySeed};

use super::super::gcra::Tat;
use super::Limiter;

/// The first byte.
const VERSION: u8 = 1;
/// Version and seed.
const HEAD: usize = 1 + KeySeed::LEN;
/// A key, and the nanoseconds until it owes nothing, rounded up, so that no key passes earlier than it would have.
const ENTRY: usize = 16 + 8;
/// So many keys are exported at most, or one of each shard more: those that owe the most.
const MOST_KEYS: usize = 1_000_000;

impl Export for Limiter {
    fn export(&self, now: Instant) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        bytes.extend_from_slice(&self.seed.to_bytes());
        let Some(start) = self.start.get() else { return bytes };
        let now = self.gcra.ticks(now.saturating_duration_since(*start));
        let most = MOST_KEYS.div_ceil(self.shards.len());
        let mut owing = Vec::new();
        for shard in &self.shards {
            owing.clear();
            owing.extend(shard.lock().owing(now));
            keep_largest(&mut owing, most);
            let entries = owing.iter().map(|(key, tat)| entry(*key, self.gcra.duration(tat - now)));
            bytes.extend(entries.flatten());
        }
        bytes
    }

    fn import(&mut self, bytes: &[u8], at: Instant) -> Result<(), ImportError> {
        let (seed, entries) = parse(bytes)?;
        self.seed = seed;
        self.start = OnceLock::from(at);
        for entry in entries {
            let (key, owes) = read_entry(entry);
            let tat = self.gcra.ticks(owes);
            // One of 0 would be an empty slot.
            if tat > 0 {
                let mut table = self.shard(key).lock();
                let (_, place) = table.find(key);
                table.store(place, key, tat, 0);
            }
        }
        Ok(())
    }
}

/// Drops all but the `most` largest.
fn keep_largest(owing: &mut Vec<(u128, Tat)>, most: usize) {
    if owing.len() > most {
        owing.select_nth_unstable_by_key(most, |(_, tat)| std::cmp::Reverse(*tat));
        owing.truncate(most);
    }
}

fn parse(bytes: &[u8]) -> Result<(KeySeed, &[[u8; ENTRY]]), ImportError> {
    let (head, entries) =
        bytes.split_first_chunk::<HEAD>().ok_or_else(|| ImportError::new("it is cut off"))?;
    let [version, seed @ ..] = *head;
    if version != VERSION {
        return Err(ImportError::new(format!("its format has version {version}, not {VERSION}")));
    }
    match entries.as_chunks() {
        (entries, []) => Ok((KeySeed::from_bytes(seed), entries)),
        _ => Err(ImportError::new("it is cut off")),
    }
}

fn entry(key: u128, owes: Duration) -> [u8; ENTRY] {
    let mut entry = [0; ENTRY];
    let (first, second) = entry.split_at_mut(16);
    first.copy_from_slice(&key.to_le_bytes());
    second.copy_from_slice(&u64::try_from(owes.as_nanos()).unwrap_or(u64::MAX).to_le_bytes());
    entry
}

fn read_entry(entry: &[u8; ENTRY]) -> (u128, Duration) {
    let number = |bytes: &[u8]| bytes.iter().rfold(0, |number: u128, byte| number << 8 | u128::from(*byte));
    let (key, owes) = entry.split_at(16);
    (number(key), Duration::from_nanos(number(owes) as u64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::filters::Decision;
    use crate::types::Rate;

    use super::*;

    fn limiter(rate: &str, burst: u32, keys: usize) -> Limiter {
        Limiter::new(rate.parse::<Rate>().unwrap(), burst, keys)
    }

    fn taken_over(mut limiter: Limiter, from: &Limiter, now: Instant) -> Limiter {
        limiter.import(&from.export(now), now).unwrap();
        limiter
    }

    #[test]
    fn another_process_goes_on_where_this_one_was() {
        let (old, start) = (limiter("100/s", 3, 1_000), Instant::now());
        for _ in 0..3 {
            old.decide(1, start);
        }
        old.decide(2, start);
        let later = start + Duration::from_millis(15);
        // Its clock has nothing to do with that of the other process.
        let clock = later + Duration::from_secs(1_000_000);
        let mut new = limiter("100/s", 3, 1_000);
        new.import(&old.export(later), clock).unwrap();
        assert_eq!(new.keys(), 1, "the other key is at rest again");
        for millis in [0, 4, 5, 6, 20, 100] {
            let passed = Duration::from_millis(millis);
            assert_eq!(new.decide(1, clock + passed), old.decide(1, later + passed), "after {millis} ms");
        }
        assert_eq!(new.seed, old.seed);
        assert_ne!(new.seed, limiter("100/s", 3, 1_000).seed);
    }

    #[test]
    fn a_limiter_without_keys_hands_its_seed_over() {
        let old = limiter("1/s", 1, 1_000);
        assert_eq!(old.export(Instant::now()).len(), HEAD);
        let new = taken_over(limiter("1/s", 1, 1_000), &old, Instant::now());
        assert_eq!((new.keys(), &new.seed), (0, &old.seed));
    }

    #[test]
    fn a_million_keys_go_and_no_more() {
        let (old, start) = (limiter("1/h", 2, 2_000_000), Instant::now());
        let debtors = 0..200_000_u128;
        for key in (0..1_200_000).chain(debtors.clone()) {
            old.decide(key, start);
        }
        let bytes = old.export(start);
        assert!(bytes.len() <= HEAD + (MOST_KEYS + old.shards.len()) * ENTRY, "{} bytes", bytes.len());
        assert!(bytes.len() > HEAD + 950_000 * ENTRY, "{} bytes", bytes.len());
        let mut new = limiter("1/h", 2, 2_000_000);
        new.import(&bytes, start).unwrap();
        let refused =
            debtors.filter(|key| matches!(new.decide(*key, start), Decision::Limited { .. })).count();
        assert_eq!(refused, 200_000, "those who owe the most are known");
    }

    #[test]
    fn what_is_cut_off_or_of_another_version_is_refused_as_a_whole() {
        let (old, start) = (limiter("1/h", 1, 1_000), Instant::now());
        old.decide(1, start);
        let bytes = old.export(start);
        let refusal = |bytes: &[u8]| {
            let mut new = limiter("1/h", 1, 1_000);
            let seed = new.seed.clone();
            let error = new.import(bytes, start).unwrap_err().to_string();
            assert_eq!((new.keys(), &new.seed), (0, &seed));
            error
        };
        for len in (0..bytes.len()).filter(|len| *len != HEAD) {
            assert_eq!(refusal(&bytes[..len]), "it is cut off");
        }
        let of_another_version = [&[9], &bytes[1..]].concat();
        assert_eq!(refusal(&of_another_version), "its format has version 9, not 1");
    }

    proptest! {
        #[test]
        fn decides_after_a_hand_over_as_it_would_have(
            requests in prop::collection::vec((0_u128..20, 0_u64..30_000_000), 1..200),
            at in 0_usize..200, burst in 1_u32..6,
        ) {
            let (stays, start) = (limiter("100/s", burst, 1_000), Instant::now());
            let mut moves = limiter("100/s", burst, 1_000);
            let mut now = start;
            for (index, (key, pause)) in requests.into_iter().enumerate() {
                now += Duration::from_nanos(pause / 5);
                if index == at {
                    moves = taken_over(limiter("100/s", burst, 1_000), &moves, now);
                }
                prop_assert_eq!(moves.decide(key, now), stays.decide(key, now));
            }
        }

        #[test]
        fn no_bytes_bring_it_down(
            mut bytes in prop::collection::vec(any::<u8>(), 0..500), cut in any::<bool>(),
            later in any::<u64>(),
        ) {
            if let Some(version) = bytes.first_mut().filter(|_| cut) {
                *version = VERSION;
                bytes.truncate(HEAD + bytes.len().saturating_sub(HEAD) / ENTRY * ENTRY);
            }
            let start = Instant::now();
            for (rate, burst) in [("1/h", 1), ("4294967295/1ns", u32::MAX), ("4294967295/365days", u32::MAX)] {
                let mut new = limiter(rate, burst, 1_000);
                let is_whole = bytes.len().checked_sub(HEAD).is_some_and(|len| len.is_multiple_of(ENTRY));
                let is_readable = is_whole && bytes[0] == VERSION;
                prop_assert_eq!(new.import(&bytes, start).is_ok(), is_readable);
                let keys = bytes.get(HEAD..).unwrap_or_default().chunks_exact(ENTRY);
                for key in keys.map(|entry| u128::from_le_bytes(entry[..16].try_into().unwrap())) {
                    let now = start.checked_add(Duration::from_nanos(later)).unwrap_or(start);
                    new.decide_within(key, now, Duration::from_nanos(later));
                    new.decide(key, start);
                }
                prop_assert!(new.export(start).len() >= HEAD);
            }
        }
    }
}
