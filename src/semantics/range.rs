use std::fmt;
use std::ops::Range;

use http::HeaderMap;
use http::header::RANGE;
use smallvec::SmallVec;

/// The parts of a representation that a client asks for (RFC 9110 §14).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ranges {
    /// All of it: nothing else is asked for, or nothing that makes sense.
    Whole,
    /// One part or several, none of them empty, in the order in which they were asked for.
    Parts(SmallVec<[Range<u64>; 1]>),
    /// None that it has: 416.
    Unsatisfiable,
}

/// Whoever asks for more parts at once gets the whole.
const MOST: usize = 16;

impl Ranges {
    /// What the `Range` of a request asks of something that is `length` bytes long. Parts that together are more than the
    /// whole are nobody's need, and served many times over they are a lever against the edge.
    pub(crate) fn of(headers: &HeaderMap, length: u64) -> Self {
        let mut fields = headers.get_all(RANGE).into_iter();
        let (Some(field), None) = (fields.next(), fields.next()) else { return Self::Whole };
        let Some(set) = range_set(field.as_bytes()) else { return Self::Whole };
        let mut parts = SmallVec::new();
        let specs = set.split(|&byte| byte == b',').map(<[u8]>::trim_ascii).filter(|spec| !spec.is_empty());
        for (count, spec) in specs.enumerate() {
            let Some(part) = part(spec, length).filter(|_| count < MOST) else { return Self::Whole };
            parts.extend(part);
        }
        let asked =
            parts.iter().fold(0_u64, |sum, part: &Range<u64>| sum.saturating_add(part.end - part.start));
        match parts.len() {
            0 => Self::Unsatisfiable,
            1 => Self::Parts(parts),
            _ if asked > length => Self::Whole,
            _ => Self::Parts(parts),
        }
    }
}

fn range_set(field: &[u8]) -> Option<&[u8]> {
    let (unit, set) = field.split_at_checked(6)?;
    let is_empty = set.iter().all(|byte| matches!(byte, b',' | b' ' | b'\t'));
    (unit.eq_ignore_ascii_case(b"bytes=") && !is_empty).then_some(set)
}

/// What a range comes to: `None` where it is none, and no part where it lies behind the end.
fn part(spec: &[u8], length: u64) -> Option<Option<Range<u64>>> {
    let dash = spec.iter().position(|&byte| byte == b'-')?;
    let (first, last) = (&spec[..dash], &spec[dash + 1..]);
    let range = if first.is_empty() {
        length.saturating_sub(number(last)?)..length
    } else if last.is_empty() {
        number(first)?..length
    } else {
        let (first, last) = (number(first)?, number(last)?);
        if last < first {
            return None;
        }
        first..last.saturating_add(1).min(length)
    };
    Some((range.start < range.end).then_some(range))
}

fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let add = |number: u64, digit: &u8| number.saturating_mul(10).saturating_add(u64::from(digit - b'0'));
    Some(digits.iter().fold(0, add))
}

/// The value of `Content-Range`: of a part, or of none where nothing was satisfiable.
pub(crate) fn content_range(part: Option<&Range<u64>>, length: u64) -> String {
    match part {
        Some(part) => format!("bytes {}-{}/{length}", part.start, part.end.saturating_sub(1)),
        None => format!("bytes */{length}"),
    }
}

/// What stands between the parts of a `multipart/byteranges` (RFC 9110 §14.6).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Boundary(u128);

impl Boundary {
    /// `random` has to be so that nobody can foresee it: it must stand in no part.
    pub(crate) fn new(random: u128) -> Self {
        Self(random)
    }

    pub(crate) fn media_type(self) -> String {
        format!("multipart/byteranges; boundary={self}")
    }

    /// What stands before a part; the first one has nothing to end before it.
    pub(crate) fn head(self, media: Option<&str>, part: &Range<u64>, length: u64, is_first: bool) -> String {
        let end = if is_first { "" } else { "\r\n" };
        let media = media.map(|media| format!("Content-Type: {media}\r\n")).unwrap_or_default();
        let range = content_range(Some(part), length);
        format!("{end}--{self}\r\n{media}Content-Range: {range}\r\n\r\n")
    }

    /// What stands behind the last part.
    pub(crate) fn end(self) -> String {
        format!("\r\n--{self}--\r\n")
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn of(field: &str, length: u64) -> Ranges {
        let headers = [(RANGE, HeaderValue::from_str(field).unwrap())].into_iter().collect();
        Ranges::of(&headers, length)
    }

    #[test]
    fn parts_are_cut_to_what_is_there() {
        #[expect(clippy::single_range_in_vec_init, reason = "one part is what is asked for")]
        let cases: [(&str, &[Range<u64>]); 9] = [
            ("bytes=0-0", &[0..1]),
            ("bytes=0-99", &[0..10]),
            ("bytes=5-", &[5..10]),
            ("bytes=-3", &[7..10]),
            ("bytes=-30", &[0..10]),
            ("BYTES=9-18446744073709551615", &[9..10]),
            ("bytes=0-1, ,4-5 ,-1", &[0..2, 4..6, 9..10]),
            ("bytes=4-5,0-1", &[4..6, 0..2]),
            ("bytes=0-1,20-30", &[0..2]),
        ];
        for (field, expected) in cases {
            assert_eq!(of(field, 10), Ranges::Parts(expected.into()), "{field}");
        }
    }

    #[test]
    fn what_is_not_there_cannot_be_had() {
        for field in
            ["bytes=10-", "bytes=10-11", "bytes=-0", "bytes=99999999999999999999999-", "bytes=10-,-0"]
        {
            assert_eq!(of(field, 10), Ranges::Unsatisfiable, "{field}");
        }
        assert_eq!(of("bytes=0-", 0), Ranges::Unsatisfiable);
        assert_eq!(of("bytes=-1", 0), Ranges::Unsatisfiable);
    }

    #[test]
    fn what_makes_no_sense_is_the_whole() {
        let fields = [
            "bytes=",
            "bytes=,",
            "bytes",
            "bytes 0-1",
            "lines=0-1",
            "bytes=1",
            "bytes=-",
            "bytes=2-1",
            "bytes=a-b",
            "bytes=0-1,x",
            "bytes=+1-2",
            "bytes=0x1-2",
            "bytes=0-1-2",
            "bytes= =0-1",
            "",
        ];
        for field in fields {
            assert_eq!(of(field, 10), Ranges::Whole, "{field:?}");
        }
        let twice: HeaderMap = [(RANGE, "bytes=0-1"), (RANGE, "bytes=2-3")]
            .map(|(name, value)| (name, HeaderValue::from_static(value)))
            .into_iter()
            .collect();
        assert_eq!(Ranges::of(&twice, 10), Ranges::Whole);
        assert_eq!(Ranges::of(&HeaderMap::new(), 10), Ranges::Whole);
    }

    #[test]
    fn more_than_the_whole_is_the_whole() {
        assert_eq!(of("bytes=0-,0-", 10), Ranges::Whole);
        assert_eq!(of("bytes=0-,0-0", 10), Ranges::Whole);
        assert!(matches!(of("bytes=0-4,5-9", 10), Ranges::Parts(parts) if parts.len() == 2));
        let many = |count: u64| {
            let specs: Vec<_> = (0..count).map(|at| format!("{}-{}", at * 2, at * 2)).collect();
            of(&format!("bytes={}", specs.join(",")), 1000)
        };
        assert!(matches!(many(16), Ranges::Parts(parts) if parts.len() == 16));
        assert_eq!(many(17), Ranges::Whole);
    }

    #[test]
    fn parts_stand_between_boundaries() {
        let boundary = Boundary::new(10);
        assert_eq!(boundary.media_type(), format!("multipart/byteranges; boundary={}a", "0".repeat(31)));
        let head = boundary.head(Some("text/plain"), &(0..2), 10, true);
        assert!(
            head.ends_with("a\r\nContent-Type: text/plain\r\nContent-Range: bytes 0-1/10\r\n\r\n"),
            "{head}"
        );
        assert!(boundary.head(None, &(0..2), 10, false).starts_with("\r\n--0"));
        assert!(boundary.end().ends_with("a--\r\n"));
        assert_eq!(content_range(None, 10), "bytes */10");
    }

    proptest! {
        #[test]
        fn no_part_is_empty_or_behind_the_end(field in "bytes=[0-9,-]{0,12}", length in 0..50_u64) {
            if let Ranges::Parts(parts) = of(&field, length) {
                prop_assert!(!parts.is_empty() && parts.len() <= MOST);
                for part in &parts {
                    prop_assert!(part.start < part.end && part.end <= length);
                }
                prop_assert!(parts.iter().map(|part| part.end - part.start).sum::<u64>() <= length);
            }
        }
    }
}
