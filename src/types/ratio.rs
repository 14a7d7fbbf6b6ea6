use std::fmt;
use std::str::FromStr;

use super::text_leaf;

/// A part of a whole, down to a millionth: `20%`, `0.1%`, 0 to 100.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ratio {
    millionths: u32,
}

/// A text that is no part of a whole.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not a share; {reason}")]
pub struct InvalidRatio {
    found: String,
    reason: &'static str,
}

/// All of them.
const WHOLE: u32 = 1_000_000;
/// Digits after the point.
const PLACES: usize = 4;

impl Ratio {
    /// So many percent, for defaults.
    pub const fn percent(percent: u32) -> Self {
        assert!(percent <= 100);
        Self { millionths: percent * (WHOLE / 100) }
    }

    /// The same as a number, 0 to 1.
    pub fn get(self) -> f64 {
        f64::from(self.millionths) / f64::from(WHOLE)
    }
}

impl FromStr for Ratio {
    type Err = InvalidRatio;

    fn from_str(text: &str) -> Result<Self, InvalidRatio> {
        let fail = |reason| InvalidRatio { found: text.to_owned(), reason };
        let text = text.trim();
        if text.parse::<f64>().is_ok() {
            return Err(fail("the sign is missing: write % after the number, like 1%"));
        }
        let number = text.strip_suffix('%').unwrap_or_default().trim_end();
        let (whole, places) = number.split_once('.').unwrap_or((number, "0"));
        let are_digits =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        if !are_digits(whole) || !are_digits(places) || places.len() > PLACES {
            return Err(fail("write a number with up to four places and the sign, like 1% or 0.05%"));
        }
        match format!("{whole}{places:0<PLACES$}").parse() {
            Ok(millionths) if millionths <= WHOLE => Ok(Self { millionths }),
            _ => Err(fail("100% at most")),
        }
    }
}

impl fmt::Display for Ratio {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PERCENT: u32 = WHOLE / 100;
        let places = format!("{:0PLACES$}", self.millionths % PERCENT);
        match places.trim_end_matches('0') {
            "" => write!(f, "{}%", self.millionths / PERCENT),
            places => write!(f, "{}.{places}%", self.millionths / PERCENT),
        }
    }
}

text_leaf!(Ratio, "a share", "0.1%");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ratio_is_read_and_written() {
        for (text, millionths) in
            [("0%", 0), ("1%", 10_000), ("0.1%", 1000), ("0.0001%", 1), ("12.34%", 123_400), ("100%", WHOLE)]
        {
            let ratio: Ratio = text.parse().unwrap();
            assert_eq!((ratio.millionths, ratio.to_string().as_str()), (millionths, text));
        }
        assert_eq!(" 5.0 %".parse::<Ratio>().unwrap(), Ratio::percent(5));
        assert!((Ratio::percent(25).get() - 0.25).abs() < 1e-12);
    }

    #[test]
    fn what_is_none_is_refused_with_the_reason() {
        for (text, words) in [
            ("1", "sign is missing"),
            ("0.5", "sign is missing"),
            ("100.0001%", "100% at most"),
            ("99999999999%", "100% at most"),
            ("0.00001%", "four places"),
            ("-1%", "write a number"),
            ("1.%", "write a number"),
            (".5%", "write a number"),
            ("1e0%", "write a number"),
            ("%", "write a number"),
            ("", "write a number"),
        ] {
            let error = text.parse::<Ratio>().unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
