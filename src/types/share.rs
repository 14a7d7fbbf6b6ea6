use std::fmt;
use std::str::FromStr;

use super::{Random, text_leaf};

/// A share of things that happen: `1%`, from `0%` to `100%`, with up to four decimals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Share {
    millionths: u32,
}

/// A text that is no share.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a share; {reason}")]
pub struct InvalidShare {
    found: String,
    reason: &'static str,
}

const WHOLE: u32 = 1_000_000;
/// Millionths in a percent.
const PERCENT: u32 = WHOLE / 100;

impl Share {
    /// Everything.
    pub const ALL: Self = Self { millionths: WHOLE };

    /// So many percent, for defaults.
    pub const fn percent(percent: u32) -> Self {
        assert!(percent <= 100);
        Self { millionths: percent * PERCENT }
    }

    /// Whether nothing is left out.
    pub const fn is_all(self) -> bool {
        self.millionths == WHOLE
    }

    /// As a fraction: 0 to 1.
    pub fn fraction(self) -> f64 {
        f64::from(self.millionths) / f64::from(WHOLE)
    }

    /// Whether a thing that happens belongs to the share.
    pub(crate) fn takes(self, random: &mut Random) -> bool {
        self.is_all() || random.u32(..WHOLE) < self.millionths
    }
}

impl FromStr for Share {
    type Err = InvalidShare;

    fn from_str(text: &str) -> Result<Self, InvalidShare> {
        let fail = |reason| InvalidShare { found: text.to_owned(), reason };
        let form = "write a number and the sign, like 1% or 0.25%";
        let trimmed = text.trim();
        if trimmed.parse::<f64>().is_ok() {
            return Err(fail("the sign is missing: write % after the number, like 1%"));
        }
        let number = trimmed.strip_suffix('%').ok_or_else(|| fail(form))?.trim_end();
        let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
        let are_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(whole) || !are_digits(decimals) {
            return Err(fail(form));
        }
        if decimals.len() > 4 {
            return Err(fail("four decimals at most"));
        }
        let decimals: u32 = format!("{decimals:0<4}").parse().map_err(|_| fail(form))?;
        let percent = whole.parse::<u32>().ok().filter(|percent| *percent <= 100);
        let millionths = percent.map(|percent| percent * PERCENT + decimals);
        millionths
            .filter(|millionths| *millionths <= WHOLE)
            .map(|millionths| Self { millionths })
            .ok_or_else(|| fail("100% at most"))
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, decimals) = (self.millionths / PERCENT, self.millionths % PERCENT);
        if decimals == 0 {
            return write!(f, "{whole}%");
        }
        let decimals = format!("{decimals:04}");
        write!(f, "{whole}.{}%", decimals.trim_end_matches('0'))
    }
}

text_leaf!(Share, "a share", "1%");

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Share {
        text.parse().unwrap()
    }

    #[test]
    fn reads_decimals_and_writes_them_back() {
        for text in ["0%", "1%", "0.25%", "0.0001%", "99.5%", "100%"] {
            assert_eq!(read(text).to_string(), text);
        }
        assert_eq!(read("1.50 %").fraction(), 0.015);
        for text in ["", "%", "1", "0.5", "-1%", "101%", "100.1%", "0.00001%", "1.%", ".5%", "many%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
        assert!("5".parse::<Share>().unwrap_err().to_string().contains("sign is missing"));
    }

    #[test]
    fn takes_what_it_says() {
        let mut random = Random::with_seed(7);
        let mut taken = |share: &str| (0..100_000).filter(|_| read(share).takes(&mut random)).count();
        assert_eq!((taken("0%"), taken("100%")), (0, 100_000));
        let of_one_percent = taken("1%");
        assert!((850..1150).contains(&of_one_percent), "{of_one_percent}");
    }
}
