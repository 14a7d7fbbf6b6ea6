use std::fmt;
use std::str::FromStr;

use super::text_leaf;

/// A share in whole percent: `20%`, 0 to 1000; above 100 where a multiple makes sense.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u16);

/// A text that is no percentage.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a percentage; {reason}")]
pub struct InvalidPercent {
    found: String,
    reason: &'static str,
}

/// Above this a number is surely a mistake.
const MAX: u16 = 1000;

impl Percent {
    /// So many percent, for defaults.
    pub const fn new(percent: u16) -> Self {
        Self(percent)
    }

    /// The number before the sign, 0 to 1000.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// Whether it is nothing at all.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }

    /// This share of `whole`, rounded down.
    pub fn of(self, whole: u32) -> u32 {
        u32::try_from(u64::from(whole) * u64::from(self.0) / 100).unwrap_or(u32::MAX)
    }
}

impl FromStr for Percent {
    type Err = InvalidPercent;

    fn from_str(text: &str) -> Result<Self, InvalidPercent> {
        let fail = |reason| InvalidPercent { found: text.to_owned(), reason };
        let text = text.trim();
        if text.parse::<f64>().is_ok() {
            return Err(fail("the sign is missing: write % after the number, like 20%"));
        }
        match text.strip_suffix('%').map(|number| number.trim_end().parse()) {
            Some(Ok(percent @ 0..=MAX)) => Ok(Self(percent)),
            Some(Ok(_)) => Err(fail("1000% at most")),
            _ => Err(fail("write a whole number and the sign, like 20%")),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

text_leaf!(Percent, "a percentage", "20%");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_whole_numbers_with_their_sign() {
        assert_eq!("20%".parse::<Percent>().unwrap().of(52), 10);
        assert_eq!("150 %".parse::<Percent>().unwrap().to_string(), "150%");
        assert!("20".parse::<Percent>().unwrap_err().to_string().contains("sign is missing"));
        for text in ["", "%", "-1%", "1.5%", "1001%", "many%"] {
            assert!(text.parse::<Percent>().is_err(), "{text:?}");
        }
    }
}
