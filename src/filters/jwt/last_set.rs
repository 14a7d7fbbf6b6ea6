use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use tokio::time::Instant;

use crate::hooks::{Export, ImportError};

use super::keys::KeySet;

/// A set of keys, with the bytes that it was read from.
pub(super) struct FetchedSet {
    pub(super) keys: KeySet,
    pub(super) fetched: Instant,
    text: Bytes,
}

/// The last set that a server had, whichever filter it was fetched for: what those begin with that have fetched none yet,
/// after a reload and in the process that takes over.
#[derive(Default)]
pub(super) struct LastSet(ArcSwapOption<FetchedSet>);

/// The first byte.
const VERSION: u8 = 1;
/// The age of the set in milliseconds.
const AGE: usize = 8;

impl FetchedSet {
    /// # Errors
    /// Those of [`KeySet::parse`].
    pub(super) fn parse(text: Bytes, fetched: Instant) -> Result<Self, String> {
        Ok(Self { keys: KeySet::parse(&text)?, fetched, text })
    }
}

impl LastSet {
    pub(super) fn get(&self) -> Option<Arc<FetchedSet>> {
        self.0.load_full()
    }

    pub(super) fn set(&self, set: Arc<FetchedSet>) {
        self.0.store(Some(set));
    }
}

/// The version, the age, and the set as its server had it.
impl Export for LastSet {
    fn export(&self, now: Instant) -> Vec<u8> {
        let Some(set) = self.get() else { return Vec::new() };
        let age = now.saturating_duration_since(set.fetched).as_millis();
        let age = u64::try_from(age).unwrap_or(u64::MAX).to_le_bytes();
        [&[VERSION][..], &age, &set.text].concat()
    }

    fn import(&mut self, bytes: &[u8], at: Instant) -> Result<(), ImportError> {
        let Some((&version, rest)) = bytes.split_first() else { return Ok(()) };
        if version != VERSION {
            return Err(ImportError::new(format!("its format has version {version}, not {VERSION}")));
        }
        let (age, text) = rest.split_first_chunk::<AGE>().ok_or_else(|| ImportError::new("it is cut off"))?;
        let age = Duration::from_millis(u64::from_le_bytes(*age));
        let fetched = at.checked_sub(age).ok_or_else(|| ImportError::new("it is too old"))?;
        let set = FetchedSet::parse(Bytes::copy_from_slice(text), fetched).map_err(ImportError::new)?;
        self.set(Arc::new(set));
        Ok(())
    }
}

impl fmt::Debug for LastSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys = self.get();
        f.debug_struct("LastSet").field("keys", &keys.as_ref().map(|set| &set.keys)).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filters::jwt::issuer::Issuer;
    use crate::filters::jwt::token::Token;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_set_goes_over_with_its_age() {
        let (issuer, now) = (Issuer::new("EdDSA", "a"), Instant::now());
        let text = Bytes::from(format!("{{\"keys\":[{}]}}", issuer.jwk()));
        let old = LastSet::default();
        old.set(Arc::new(FetchedSet::parse(text, now).unwrap()));
        let bytes = old.export(now + HOUR);
        let (mut new, at) = (LastSet::default(), now + 2 * HOUR);
        new.import(&bytes, at).unwrap();
        let set = new.get().unwrap();
        assert_eq!(at - set.fetched, HOUR);
        let token = issuer.token("{}");
        assert_eq!(set.keys.verify(&Token::parse(token.as_bytes()).unwrap()), Ok(()));
        assert_eq!(new.export(at), bytes);
    }

    #[test]
    fn where_there_is_no_set_none_goes_over() {
        let (mut new, now) = (LastSet::default(), Instant::now());
        new.import(&LastSet::default().export(now), now).unwrap();
        assert!(new.get().is_none());
    }

    #[test]
    fn what_is_no_set_is_none() {
        let (mut new, now) = (LastSet::default(), Instant::now());
        let endless = [&[VERSION][..], &u64::MAX.to_le_bytes(), b"{}"].concat();
        for bytes in [&[2][..], &[VERSION, 0], &[&[VERSION][..], &[0; AGE], b"{}"].concat(), &endless] {
            assert!(new.import(bytes, now).is_err(), "{bytes:?}");
            assert!(new.get().is_none());
        }
    }
}
