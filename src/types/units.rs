use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::Duration;

use super::text_leaf;

/// A quantity without its unit, with an unknown one, or out of range.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not {kind}; {reason}")]
pub struct InvalidUnit {
    found: String,
    kind: &'static str,
    reason: &'static str,
}

// === Span ===

/// A length of time as written in a configuration: a number with its unit (`250ms`, `5s`, `1m 30s`, `1h`).
///
/// Zero is `0s` or `0`; anything else needs a unit. At most 365 days, so that no deadline can overflow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

const MAX_SPAN: Duration = Duration::from_secs(365 * 24 * 3600);

impl Span {
    /// A span of whole seconds, for defaults.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// A span of whole milliseconds, for defaults.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The same length as the standard library's type.
    pub const fn get(self) -> Duration {
        self.0
    }

    /// Whether it is no time at all.
    pub const fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl FromStr for Span {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let fail = |reason| InvalidUnit { found: text.to_owned(), kind: "a duration", reason };
        if text.trim() == "0" {
            return Ok(Self(Duration::ZERO));
        }
        if text.parse::<f64>().is_ok() {
            return Err(fail("the unit is missing: write ms, s, m or h after the number, like 5s"));
        }
        let span = humantime::parse_duration(text)
            .map_err(|_| fail("write whole numbers with their units, like 250ms, 5s, 1m 30s or 1h"))?;
        if span > MAX_SPAN {
            return Err(fail("365 days at most"));
        }
        Ok(Self(span))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(f)
    }
}

text_leaf!(Span, "a duration", "5s");

// === ByteSize ===

/// A number of bytes with its unit (`512B`, `32KiB`, `10MiB`, `1GiB`; `kB`, `MB`, `GB` are powers of 1000).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

const SIZE_UNITS: [(&str, u64); 8] = [
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("kB", 1_000),
    ("KB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("B", 1),
];

/// Above this a number is surely a mistake, and sums could overflow.
const MAX_SIZE: u64 = 1 << 50;

impl ByteSize {
    /// A size in KiB, for defaults.
    pub const fn from_kib(kib: u64) -> Self {
        Self(kib << 10)
    }

    /// A size in MiB, for defaults.
    pub const fn from_mib(mib: u64) -> Self {
        Self(mib << 20)
    }

    /// The number of bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// The number of bytes, or the largest `usize` where that is less.
    pub fn as_usize(self) -> usize {
        usize::try_from(self.0).unwrap_or(usize::MAX)
    }
}

impl FromStr for ByteSize {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let fail = |reason| InvalidUnit { found: text.to_owned(), kind: "a size", reason };
        let text = text.trim();
        if text == "0" {
            return Ok(Self(0));
        }
        if text.parse::<f64>().is_ok() {
            return Err(fail("the unit is missing: write B, KiB, MiB or GiB after the number, like 10MiB"));
        }
        let (number, unit) = SIZE_UNITS
            .iter()
            .find_map(|(unit, scale)| Some((text.strip_suffix(unit)?, scale)))
            .ok_or_else(|| fail("write a whole number with B, KiB, MiB, GiB, kB, MB or GB, like 10MiB"))?;
        let number: u64 = number
            .trim_end()
            .parse()
            .map_err(|_| fail("write a whole number with B, KiB, MiB, GiB, kB, MB or GB, like 10MiB"))?;
        match number.checked_mul(*unit) {
            Some(bytes) if bytes <= MAX_SIZE => Ok(Self(bytes)),
            _ => Err(fail("1 PiB at most")),
        }
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exact = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
        match exact.iter().find(|(_, scale)| self.0 != 0 && self.0.is_multiple_of(*scale)) {
            Some((unit, scale)) => write!(f, "{}{unit}", self.0 / scale),
            None => write!(f, "{}B", self.0),
        }
    }
}

text_leaf!(ByteSize, "a size", "10MiB");

// === Rate ===

/// So many events in so much time: `100/s`, `600/m`, `10/250ms`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Rate {
    count: NonZeroU32,
    per: Span,
}

impl Rate {
    /// So many in a second.
    pub(crate) fn per_second(count: NonZeroU32) -> Self {
        Self { count, per: Span::from_secs(1) }
    }

    /// How many events the period allows, 1 or more.
    pub fn count(self) -> u32 {
        self.count.get()
    }

    /// The period, longer than zero.
    pub fn per(self) -> Duration {
        self.per.get()
    }

    /// The share that each of so many has in it.
    pub(crate) fn among(self, count: NonZeroU32) -> Self {
        Self { count: self.count, per: Span(self.per.get().saturating_mul(count.get())) }
    }

    /// The time from one event to the next when they are spread evenly; 1 ns or more.
    pub fn interval(self) -> Duration {
        (self.per.get() / self.count.get()).max(Duration::from_nanos(1))
    }
}

impl FromStr for Rate {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let fail = |reason| InvalidUnit { found: text.to_owned(), kind: "a rate", reason };
        let (count, per) =
            text.split_once('/').ok_or_else(|| fail("write COUNT/PERIOD, like 100/s or 600/m"))?;
        let count = count
            .trim()
            .parse::<NonZeroU32>()
            .map_err(|_| fail("the count is a whole number, 1 to 4294967295"))?;
        let per = per.trim();
        let has_number = per.starts_with(|c: char| c.is_ascii_digit());
        let per = if has_number { per.parse() } else { format!("1{per}").parse::<Span>() };
        match per {
            Ok(per) if !per.is_zero() => Ok(Self { count, per }),
            _ => Err(fail("the period is a time like s, m, h or 250ms")),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = self.per.to_string();
        let bare_unit = per.strip_prefix('1').filter(|rest| rest.starts_with(char::is_alphabetic));
        write!(f, "{}/{}", self.count, bare_unit.unwrap_or(&per))
    }
}

text_leaf!(Rate, "a rate", "100/s");

// === ByteRate ===

/// So many bytes per second: `1KiB/s`. Zero switches the limit off.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteRate(ByteSize);

impl ByteRate {
    /// A rate of so many KiB in a second, for defaults.
    pub const fn from_kib(kib: u64) -> Self {
        Self(ByteSize::from_kib(kib))
    }

    /// Bytes in a second.
    pub const fn bytes_per_second(self) -> u64 {
        self.0.bytes()
    }
}

impl FromStr for ByteRate {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let fail = |reason| InvalidUnit { found: text.to_owned(), kind: "a byte rate", reason };
        if text.trim() == "0" {
            return Ok(Self::default());
        }
        let size = text.trim().strip_suffix("/s").ok_or_else(|| fail("write SIZE/s, like 1KiB/s"))?;
        size.parse().map(Self).map_err(|_| fail("write SIZE/s, like 1KiB/s"))
    }
}

impl fmt::Display for ByteRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/s", self.0)
    }
}

text_leaf!(ByteRate, "a byte rate", "1KiB/s");

// === Weight ===

/// How large an endpoint's share of its pool is, relative to the others: 1 to 1000. 0 stands for no new work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Weight(u16);

impl Weight {
    /// The largest weight.
    pub const MAX: u16 = 1000;

    /// The weight as a number, 0 to [`Self::MAX`].
    pub const fn get(self) -> u16 {
        self.0
    }
}

impl Default for Weight {
    fn default() -> Self {
        Self(1)
    }
}

impl FromStr for Weight {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        match text.parse() {
            Ok(weight @ 0..=Self::MAX) => Ok(Self(weight)),
            _ => Err(InvalidUnit {
                found: text.to_owned(),
                kind: "a weight",
                reason: "a weight is a whole number, 0 to 1000",
            }),
        }
    }
}

impl fmt::Display for Weight {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

text_leaf!(Weight, "a weight", "1");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rejects_duration_without_unit() {
        assert!("5".parse::<Span>().unwrap_err().reason.contains("unit is missing"));
        assert!("5 apples".parse::<Span>().is_err());
        assert!("366days".parse::<Span>().is_err());
        assert_eq!("0".parse::<Span>().unwrap(), Span::default());
        assert_eq!("1m 30s".parse::<Span>().unwrap(), Span::from_secs(90));
    }

    #[test]
    fn sizes_have_binary_and_decimal_units() {
        assert_eq!("32KiB".parse::<ByteSize>().unwrap().bytes(), 32768);
        assert_eq!("10 MB".parse::<ByteSize>().unwrap().bytes(), 10_000_000);
        assert_eq!("7B".parse::<ByteSize>().unwrap().bytes(), 7);
        assert!("7".parse::<ByteSize>().unwrap_err().reason.contains("unit is missing"));
        assert!("-1KiB".parse::<ByteSize>().is_err());
        assert!("9999999GiB".parse::<ByteSize>().is_err());
    }

    #[test]
    fn a_rate_knows_the_time_between_two_events() {
        assert_eq!("100/s".parse::<Rate>().unwrap().interval(), Duration::from_millis(10));
        assert_eq!("600/m".parse::<Rate>().unwrap().interval(), Duration::from_millis(100));
        assert_eq!("10/250ms".parse::<Rate>().unwrap().interval(), Duration::from_millis(25));
        for text in ["100", "0/s", "x/s", "5/", "5/0s", "1.5/s"] {
            assert!(text.parse::<Rate>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn every_unit_reads_back_what_it_writes() {
        for text in ["250ms", "1m 30s", "0s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        for text in ["32KiB", "7B", "1GiB", "0B"] {
            assert_eq!(text.parse::<ByteSize>().unwrap().to_string(), text);
        }
        for text in ["100/s", "600/m", "10/250ms", "1/10s"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!("1KiB/s".parse::<ByteRate>().unwrap().to_string(), "1KiB/s");
    }

    #[test]
    fn weights_end_at_a_thousand() {
        assert_eq!("1000".parse::<Weight>().unwrap().get(), 1000);
        assert_eq!("0".parse::<Weight>().unwrap().get(), 0);
        assert!("-1".parse::<Weight>().is_err());
        assert!("1001".parse::<Weight>().is_err());
        assert!("1.5".parse::<Weight>().is_err());
    }
}
