use std::fmt;
use std::str::FromStr;

use crate::hooks::Member;
use crate::types::{Percent, text_leaf};

/// How much of a pool's load one endpoint may carry by a hashed policy, in percent of its fair share: `150%`, from
/// `100%` to `1000%`, or `off`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoadBound(Option<Percent>);

/// A text that is no bound.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a bound; write a percentage from 100% to 1000%, or off")]
pub struct InvalidLoadBound {
    found: String,
}

/// Below this not every request could go to somebody within the bound.
const LEAST: Percent = Percent::new(100);

impl LoadBound {
    /// Whether the member stays within the bound with one more request: at most
    /// `ceil(bound × (requests in flight in the pool + 1) × its weight / all weights)`.
    ///
    /// With `100%` or more there always is one that does: if none did, they would together have more in flight than
    /// the pool.
    pub(super) fn admits(self, member: &Member, total_weight: u64) -> bool {
        let Some(percent) = self.0 else { return true };
        // `count + 1 <= ceil(a / b)` is `count * b < a`.
        let wide = |number: u64| u128::from(number);
        let fair = wide(u64::from(member.in_flight_of_pool()) + 1) * wide(member.weight().into());
        wide(member.in_flight().into()) * wide(total_weight) * 100 < fair * wide(percent.get().into())
    }
}

impl Default for LoadBound {
    fn default() -> Self {
        Self(Some(Percent::new(150)))
    }
}

impl FromStr for LoadBound {
    type Err = InvalidLoadBound;

    fn from_str(text: &str) -> Result<Self, InvalidLoadBound> {
        if text == "off" {
            return Ok(Self(None));
        }
        match text.parse() {
            Ok(percent) if percent >= LEAST => Ok(Self(Some(percent))),
            _ => Err(InvalidLoadBound { found: text.to_owned() }),
        }
    }
}

impl fmt::Display for LoadBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(percent) => percent.fmt(f),
            None => f.write_str("off"),
        }
    }
}

text_leaf!(LoadBound, "a percentage or off", "150%");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_leaves_room_for_all() {
        for text in ["100%", "1000%", "off"] {
            assert_eq!(text.parse::<LoadBound>().unwrap().to_string(), text);
        }
        for text in ["99%", "1001%", "150", "1.5", "no", ""] {
            assert!(text.parse::<LoadBound>().is_err(), "{text:?}");
        }
    }
}
