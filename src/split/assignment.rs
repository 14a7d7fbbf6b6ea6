//! Which side a key belongs to: rendezvous hashing with weights (Schindler and Schomaker, "Weighted distributed hash tables").
//!
//! Each side has a number of its own for each key, which its weight makes smaller or larger, and the smallest wins. A weight
//! that grows changes the numbers of its side alone, so that keys come to this side and go nowhere else.

use twox_hash::XxHash3_64;

use crate::types::PoolName;

/// What makes a side's numbers its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Seed(u64);

impl Seed {
    /// By the name alone, so that a key is with the same pool wherever it may choose.
    pub(super) fn of(pool: &PoolName) -> Self {
        Self(XxHash3_64::oneshot(pool.as_str().as_bytes()))
    }
}

/// The place of the side that a key belongs to; the first one if no side has a weight. An infinite weight wins always.
pub(super) fn assign(key: u64, sides: impl Iterator<Item = (Seed, f64)>) -> usize {
    let numbers = sides.enumerate().filter(|(_, (_, weight))| *weight > 0.0);
    let numbers = numbers.map(|(index, (Seed(seed), weight))| (index, -uniform(key, seed).ln() / weight));
    numbers.min_by(|(_, one), (_, other)| one.total_cmp(other)).map_or(0, |(index, _)| index)
}

/// A number between 0 and 1 and neither, as if by chance (the finaliser of SplitMix64).
fn uniform(key: u64, seed: u64) -> f64 {
    const LEFT: u32 = 64 - 53;
    let mut mixed = key ^ seed;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    ((mixed >> LEFT) as f64 + 0.5) / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::Random;

    fn sides(weights: &[f64]) -> Vec<(Seed, f64)> {
        let seed = |index: usize| Seed::of(&format!("pool-{index}").parse().unwrap());
        weights.iter().enumerate().map(|(index, weight)| (seed(index), *weight)).collect()
    }

    fn place(key: u64, weights: &[f64]) -> usize {
        assign(key, sides(weights).into_iter())
    }

    proptest! {
        #[test]
        fn a_weight_that_grows_moves_keys_to_its_side_only(
            weights in prop::collection::vec(0.0..50.0_f64, 2..6),
            side in any::<prop::sample::Index>(),
            more in prop::option::of(0.1..100.0_f64),
            keys in prop::collection::vec(any::<u64>(), 50),
        ) {
            let side = side.index(weights.len());
            let mut grown = weights.clone();
            grown[side] += more.unwrap_or(f64::INFINITY);
            // Without any weight nobody is assigned.
            prop_assume!(weights.iter().any(|weight| *weight > 0.0));
            for key in keys {
                let (before, after) = (place(key, &weights), place(key, &grown));
                prop_assert!(after == before || after == side, "{key}: {before} {after}");
            }
        }
    }

    #[test]
    fn shares_are_as_the_weights_say() {
        let mut random = Random::with_seed(7);
        for weights in [&[95.0, 5.0][..], &[1.0, 1.0, 1.0], &[10.0, 0.0, 30.0, 60.0], &[1000.0, 1.0]] {
            const KEYS: usize = 200_000;
            let mut counts = vec![0_usize; weights.len()];
            (0..KEYS).for_each(|_| counts[place(random.u64(..), weights)] += 1);
            let sum: f64 = weights.iter().sum();
            for (weight, count) in weights.iter().zip(counts) {
                let share = count as f64 / KEYS as f64;
                assert!((share - weight / sum).abs() < 0.01, "{weights:?}: {share}");
                assert!(*weight > 0.0 || count == 0, "{weights:?}");
            }
        }
    }

    #[test]
    fn keys_that_follow_each_other_are_spread_like_any() {
        let counts = (0..100_000).filter(|&key| place(key, &[9.0, 1.0]) == 1).count();
        assert!((9_500..10_500).contains(&counts), "{counts}");
    }

    #[test]
    fn an_infinite_weight_wins_and_none_leaves_the_first() {
        for key in 0..1000 {
            assert_eq!(place(key, &[1000.0, f64::INFINITY]), 1);
            assert_eq!(place(key, &[0.0, 0.0]), 0);
        }
    }
}
