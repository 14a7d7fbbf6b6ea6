use std::collections::HashMap;
use std::time::Duration;

use aws_lc_rs::hmac;
use aws_lc_rs::rand::SystemRandom;
use foldhash::fast::RandomState;
use parking_lot::Mutex;
use tokio::time::Instant;

/// What is known by tag, each for a while. Where there is no more room, something else is forgotten.
pub(super) struct Expiring<V> {
    shards: [Mutex<Shard<V>>; SHARDS],
    ttl: Duration,
    most_per_shard: usize,
}

/// What stands for some texts: only with the key of its [`Tagger`] it can be made or told.
pub(super) type Tag = [u8; 32];

/// Makes tags with a key of its own.
pub(super) struct Tagger(hmac::Key);

type Shard<V> = HashMap<Tag, (Instant, V), RandomState>;

const SHARDS: usize = 16;
/// So many of a full shard are looked at for one to give up: not all, since a worker does so for each that is new.
const LOOKED_AT: usize = 8;

impl Tagger {
    /// # Errors
    /// When the system has no randomness.
    pub(super) fn new() -> Result<Self, aws_lc_rs::error::Unspecified> {
        hmac::Key::generate(hmac::HMAC_SHA256, &SystemRandom::new()).map(Self)
    }

    /// The tag of these texts, in this order.
    pub(super) fn tag<'t>(&self, texts: impl IntoIterator<Item = &'t [u8]>) -> Tag {
        let mut context = hmac::Context::with_key(&self.0);
        for text in texts {
            // With their lengths, so that no two lists are the same bytes.
            context.update(&text.len().to_le_bytes());
            context.update(text);
        }
        let mut tag = Tag::default();
        tag.copy_from_slice(context.sign().as_ref());
        tag
    }
}

impl<V: Clone> Expiring<V> {
    pub(super) fn new(ttl: Duration, size: usize) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { shards, ttl, most_per_shard: size.div_ceil(SHARDS) }
    }

    pub(super) fn get(&self, tag: &Tag, now: Instant) -> Option<V> {
        let shard = self.shard(tag).lock();
        shard.get(tag).filter(|(until, _)| now < *until).map(|(_, value)| value.clone())
    }

    pub(super) fn put(&self, tag: Tag, value: V, now: Instant) {
        if self.ttl.is_zero() {
            return;
        }
        let mut shard = self.shard(&tag).lock();
        if shard.len() >= self.most_per_shard && !shard.contains_key(&tag) {
            // Any other will do, since it is found out again when it is asked for; but of a few rather one that no longer counts.
            let few = || shard.iter().take(LOOKED_AT);
            let over = few().find(|(_, (until, _))| now >= *until).or_else(|| few().next());
            if let Some(other) = over.map(|(&other, _)| other) {
                shard.remove(&other);
            }
        }
        shard.insert(tag, (now + self.ttl, value));
    }

    fn shard(&self, tag: &Tag) -> &Mutex<Shard<V>> {
        &self.shards[usize::from(tag[0]) % SHARDS]
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_count_for_a_while_and_take_no_more_room_than_there_is() {
        let (tags, known) = (Tagger::new().unwrap(), Expiring::new(Duration::from_secs(5), 160));
        let (start, tag) = (Instant::now(), tags.tag([&b"a"[..]]));
        known.put(tag, 1, start);
        assert_eq!(known.get(&tag, start + Duration::from_secs(4)), Some(1));
        assert_eq!(known.get(&tag, start + Duration::from_secs(5)), None);
        for number in 0..1000_u32 {
            known.put(tags.tag([&number.to_le_bytes()[..]]), number, start);
        }
        assert!((100..=160).contains(&known.len()), "{}", known.len());
    }

    #[test]
    fn tags_are_of_the_texts_as_they_are_divided() {
        let (one, other) = (Tagger::new().unwrap(), Tagger::new().unwrap());
        assert_ne!(one.tag([&b"a"[..], b"bc"]), one.tag([&b"ab"[..], b"c"]));
        assert_ne!(one.tag([&b"a"[..]]), other.tag([&b"a"[..]]));
        assert_eq!(one.tag([&b"a"[..]]), one.tag([&b"a"[..]]));
    }
}
