#![expect(deprecated, reason = "the hashers that are to be used in its place cannot be given their seed")]

use std::fmt;
use std::hash::{BuildHasher, RandomState, SipHasher};

/// What makes keys unforeseeable to those who choose them, as [`RandomState`] does, and can be taken along to another
/// process, where the same keys become the same numbers (SipHash-2-4).
#[derive(Clone, PartialEq, Eq)]
pub struct KeySeed {
    first: u64,
    second: u64,
}

impl KeySeed {
    /// How many bytes a seed takes.
    pub const LEN: usize = 16;

    /// A new seed, as unforeseeable as one of the standard library's maps.
    pub fn random() -> Self {
        let state = RandomState::new();
        Self { first: state.hash_one(1), second: state.hash_one(2) }
    }

    /// The seed for another process. Whoever knows it can choose keys that meet.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        (u128::from(self.first) << 64 | u128::from(self.second)).to_le_bytes()
    }

    /// The seed that these bytes were made of.
    pub fn from_bytes(bytes: [u8; Self::LEN]) -> Self {
        let both = u128::from_le_bytes(bytes);
        Self { first: (both >> 64) as u64, second: both as u64 }
    }
}

impl BuildHasher for KeySeed {
    type Hasher = SipHasher;

    fn build_hasher(&self) -> SipHasher {
        SipHasher::new_with_keys(self.first, self.second)
    }
}

impl fmt::Debug for KeySeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeySeed(…)")
    }
}

#[cfg(test)]
mod tests {
    use std::hash::Hasher;

    use super::*;

    #[test]
    fn hashes_as_siphash_2_4_does() {
        // The vector of the algorithm's paper: keys 00 to 0f, message 00 to 0e.
        let seed = KeySeed { first: 0x0706_0504_0302_0100, second: 0x0f0e_0d0c_0b0a_0908 };
        let mut hasher = seed.build_hasher();
        hasher.write(&std::array::from_fn::<u8, 15, _>(|byte| byte as u8));
        assert_eq!(hasher.finish(), 0xa129_ca61_49be_45e5);
    }

    #[test]
    fn seeds_differ_and_mean_the_same_elsewhere() {
        let (seed, other) = (KeySeed::random(), KeySeed::random());
        assert_ne!(seed.hash_one("key"), other.hash_one("key"));
        let taken_along = KeySeed::from_bytes(seed.to_bytes());
        assert_eq!(taken_along.hash_one("key"), seed.hash_one("key"));
    }
}
