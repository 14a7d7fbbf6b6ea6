use std::fmt;

use serde::{Deserialize, Serialize};

use crate::types::Percent;

/// A share of all requests, in hundredths of a percent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Share(u32);

impl Share {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const ALL: Self = Self(10_000);

    /// A part of 1; what is no number counts as nothing.
    pub(crate) fn of(fraction: f64) -> Self {
        Self((fraction.clamp(0.0, 1.0) * 10_000.0).round() as u32)
    }

    /// So many hundredths of a percent, all at most.
    pub(super) fn from_hundredths(hundredths: u32) -> Self {
        Self(hundredths).min(Self::ALL)
    }

    pub(super) fn hundredths(self) -> u32 {
        self.0
    }

    pub(super) fn as_fraction(self) -> f64 {
        f64::from(self.0) / 10_000.0
    }

    pub(crate) fn percent(self) -> f64 {
        f64::from(self.0) / 100.0
    }

    pub(crate) fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// What is left for others.
    pub(super) fn rest(self) -> Self {
        Self(Self::ALL.0 - self.0)
    }

    /// Both together, `most` at most.
    pub(super) fn plus(self, other: Self, most: Self) -> Self {
        Self(self.0 + other.0).min(most)
    }

    /// The weight that comes to this share beside others of that sum; infinite for all.
    pub(super) fn weight_beside(self, others: f64) -> f64 {
        others * self.as_fraction() / self.rest().as_fraction()
    }
}

impl From<Percent> for Share {
    /// 100 % at most.
    fn from(percent: Percent) -> Self {
        Self::from_hundredths(u32::from(percent.get()) * 100)
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 % 100 {
            0 => write!(f, "{} %", self.0 / 100),
            rest => write!(f, "{}.{rest:02} %", self.0 / 100),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_shown_as_percentages() {
        for (fraction, shown) in [(0.05, "5 %"), (1.0, "100 %"), (1.0 / 21.0, "4.76 %"), (0.0, "0 %")] {
            assert_eq!(Share::of(fraction).to_string(), shown);
        }
        assert_eq!(Share::of(f64::NAN), Share::NONE);
    }

    #[test]
    fn the_weight_of_a_share_comes_to_that_share() {
        for hundredths in [1, 500, 3333, 9999] {
            let share = Share::from_hundredths(hundredths);
            let weight = share.weight_beside(7.0);
            assert_eq!(Share::of(weight / (weight + 7.0)), share);
        }
        assert_eq!(Share::ALL.weight_beside(7.0), f64::INFINITY);
        assert_eq!(Share::NONE.weight_beside(7.0), 0.0);
    }
}
