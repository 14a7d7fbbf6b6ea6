use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, RandomizedNonceKey};
use parking_lot::Mutex;
use zeroize::Zeroizing;

use super::Clock;

/// The keys of all session tickets of the process. They outlive listeners and configurations, and a successor process
/// can take them over, so that clients resume their sessions after a reload or an upgrade.
#[derive(Debug)]
pub(crate) struct TicketKeys {
    clock: Clock,
    rings: Mutex<Vec<Arc<Ring>>>,
}

/// Keys that are replaced in the same rhythm.
///
/// A key seals tickets for one period and opens them for two more. At most three of a ring's own are alive.
#[derive(Debug)]
pub(super) struct Ring {
    /// The period, in seconds.
    rotate: u64,
    clock: Clock,
    /// The newest first.
    keys: ArcSwap<Vec<Arc<Key>>>,
    replacing: Mutex<()>,
}

/// A key for tickets; `Debug` shows none of it.
pub(super) struct Key {
    pub(super) name: [u8; NAME],
    pub(super) cipher: RandomizedNonceKey,
    /// When it was made, in seconds since 1970.
    made: u64,
    /// What `cipher` was made from, for a successor.
    secret: Zeroizing<[u8; SECRET]>,
}

/// Bytes that are no keys of tickets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these are no keys of session tickets, or those of another version")]
pub(crate) struct InvalidTicketKeys;

pub(super) const NAME: usize = 16;
const SECRET: usize = 32;
/// Periods that a key lives.
const PERIODS: u64 = 3;
/// The first byte of exported keys.
const FORMAT: u8 = 1;
/// What rings may hold, with the keys of predecessors.
const MOST_KEYS: usize = 8;

impl TicketKeys {
    pub(crate) fn new(clock: Clock) -> Self {
        Self { clock, rings: Mutex::default() }
    }

    /// The keys that are replaced after this time; `None` for zero, which means no tickets.
    pub(super) fn ring(&self, rotate: Duration) -> Option<Arc<Ring>> {
        let rotate = rotate.as_secs();
        (rotate > 0).then(|| Self::ring_of(&mut self.rings.lock(), rotate, &self.clock))
    }

    fn ring_of(rings: &mut Vec<Arc<Ring>>, rotate: u64, clock: &Clock) -> Arc<Ring> {
        if let Some(ring) = rings.iter().find(|ring| ring.rotate == rotate) {
            return ring.clone();
        }
        let ring =
            Ring { rotate, clock: clock.clone(), keys: ArcSwap::default(), replacing: Mutex::default() };
        let ring = Arc::new(ring);
        rings.push(ring.clone());
        ring
    }

    /// All keys that are alive, for a successor process. With them all sessions can be read, so they go nowhere else.
    pub(crate) fn export(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(vec![FORMAT]);
        for ring in self.rings.lock().iter() {
            for key in ring.alive().iter() {
                bytes.extend(ring.rotate.to_be_bytes());
                bytes.extend(key.name);
                bytes.extend(key.made.to_be_bytes());
                bytes.extend(*key.secret);
            }
        }
        bytes
    }

    /// Takes over what a predecessor has exported, beside the keys that are there.
    ///
    /// # Errors
    /// When the bytes are none of an export; nothing is taken over then.
    pub(crate) fn import(&self, exported: &[u8]) -> Result<(), InvalidTicketKeys> {
        let (&FORMAT, mut bytes) = exported.split_first().ok_or(InvalidTicketKeys)? else {
            return Err(InvalidTicketKeys);
        };
        let mut found = Vec::new();
        while !bytes.is_empty() {
            found.push(parse(&mut bytes).ok_or(InvalidTicketKeys)?);
        }
        let mut rings = self.rings.lock();
        for (rotate, key) in found {
            Self::ring_of(&mut rings, rotate, &self.clock).add(key);
        }
        Ok(())
    }
}

/// One key of an export, and how often it is replaced.
fn parse(bytes: &mut &[u8]) -> Option<(u64, Key)> {
    let rotate = u64::from_be_bytes(take(bytes)?);
    let name = take(bytes)?;
    let made = u64::from_be_bytes(take(bytes)?);
    let key = Key::new(name, made, Zeroizing::new(take(bytes)?))?;
    (rotate > 0).then_some((rotate, key))
}

fn take<const N: usize>(bytes: &mut &[u8]) -> Option<[u8; N]> {
    let (first, rest) = bytes.split_first_chunk()?;
    *bytes = rest;
    Some(*first)
}

impl Ring {
    /// The key that seals tickets now; `None` when the system has no randomness for a new one.
    pub(super) fn sealing(&self) -> Option<Arc<Key>> {
        let now = self.clock.seconds();
        let seals = |key: &&Arc<Key>| key.age(now) < self.rotate;
        if let Some(key) = self.keys.load().first().filter(seals) {
            return Some(key.clone());
        }
        let _one_at_a_time = self.replacing.lock();
        let mut keys = self.alive();
        if let Some(key) = keys.first().filter(seals) {
            return Some(key.clone());
        }
        let key = Arc::new(Key::random(now)?);
        keys.insert(0, key.clone());
        self.keys.store(Arc::new(keys));
        Some(key)
    }

    /// The key of this name, if it still opens tickets.
    pub(super) fn opening(&self, name: &[u8]) -> Option<Arc<Key>> {
        let now = self.clock.seconds();
        let keys = self.keys.load();
        keys.iter().find(|key| key.name == name && self.is_alive(key, now)).cloned()
    }

    /// How long each ticket can be opened at least: one that the key seals at the end of its own period still has
    /// two. No longer than RFC 8446 §4.6.1 allows.
    pub(super) fn lifetime(&self) -> u64 {
        const WEEK: u64 = 7 * 24 * 3600;
        ((PERIODS - 1) * self.rotate).min(WEEK)
    }

    pub(super) fn now(&self) -> u64 {
        self.clock.seconds()
    }

    fn is_alive(&self, key: &Key, now: u64) -> bool {
        key.age(now) < PERIODS.saturating_mul(self.rotate)
    }

    fn alive(&self) -> Vec<Arc<Key>> {
        let now = self.clock.seconds();
        self.keys.load().iter().filter(|key| self.is_alive(key, now)).cloned().collect()
    }

    fn add(&self, key: Key) {
        let _one_at_a_time = self.replacing.lock();
        let mut keys = self.alive();
        if keys.iter().all(|known| known.name != key.name) {
            keys.push(Arc::new(key));
            keys.sort_by_key(|key| std::cmp::Reverse(key.made));
            keys.truncate(MOST_KEYS);
            self.keys.store(Arc::new(keys));
        }
    }
}

impl Key {
    fn new(name: [u8; NAME], made: u64, secret: Zeroizing<[u8; SECRET]>) -> Option<Self> {
        let cipher = RandomizedNonceKey::new(&AES_256_GCM, &*secret).ok()?;
        Some(Self { name, cipher, made, secret })
    }

    fn random(now: u64) -> Option<Self> {
        let (mut name, mut secret) = ([0; NAME], Zeroizing::new([0; SECRET]));
        aws_lc_rs::rand::fill(&mut name).ok()?;
        aws_lc_rs::rand::fill(&mut *secret).ok()?;
        Self::new(name, now, secret)
    }

    /// A clock that is set back makes keys old too, so that none lives on until it has caught up.
    fn age(&self, now: u64) -> u64 {
        now.abs_diff(self.made)
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Key").field("made", &self.made).finish_non_exhaustive()
    }
}
