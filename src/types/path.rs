//! The one canonical form of a request's path, in which it is matched and forwarded.

use super::escape::escaped_byte;

/// Why a path is refused: two readers could understand it differently, and one of them may be the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RejectedPath {
    /// It does not start with `/`.
    #[error("the path does not start with a slash")]
    NotAbsolute,
    /// A `%` without two hexadecimal digits.
    #[error("the path has a broken percent-encoding")]
    BadEscape,
    /// A NUL or another control character, plain or encoded.
    #[error("the path has a control character")]
    Control,
    /// A backslash, plain or encoded: some servers take it for a slash.
    #[error("the path has a backslash")]
    Backslash,
    /// More `..` than there are segments to leave, or a `..` that hides behind a parameter (`..;x`).
    #[error("the path climbs out of its root")]
    Climbs,
    /// A fragment, which no request has.
    #[error("the path has a fragment")]
    Fragment,
}

/// Brings a path (without query) into its canonical form (RFC 3986 §6.2.2): encodings of unreserved characters
/// decoded and the others in capitals, what must be encoded encoded, dot segments removed, and runs of slashes
/// merged. `None` means that the path already is in this form, which costs one scan and no allocation.
///
/// An encoded slash (`%2F`) stays as it is; whether it may is for whoever matches the path to say.
///
/// # Errors
/// When the path is ambiguous beyond repair.
pub fn normalise_path(path: &str) -> Result<Option<String>, RejectedPath> {
    if !path.starts_with('/') {
        return Err(RejectedPath::NotAbsolute);
    }
    if is_canonical(path.as_bytes()) {
        return Ok(None);
    }
    let decoded = recode(path.as_bytes())?;
    let canonical = remove_dot_segments(&decoded)?;
    Ok((canonical != path).then_some(canonical))
}

/// True for most real paths; false only means that a closer look is needed.
fn is_canonical(path: &[u8]) -> bool {
    let mut previous = 0;
    path.iter().all(|&byte| {
        let after_slash = previous == b'/';
        previous = byte;
        is_plain(byte) && !(after_slash && matches!(byte, b'/' | b'.'))
    })
}

/// What may stand in a path as itself: pchar without `%`, and `/` (RFC 3986 §3.3).
fn is_plain(byte: u8) -> bool {
    is_unreserved(byte) || b"/!$&'()*+,;=:@".contains(&byte)
}

fn is_unreserved(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)
}

fn recode(path: &[u8]) -> Result<String, RejectedPath> {
    let mut out = String::with_capacity(path.len() + 8);
    let mut bytes = path.iter().copied();
    while let Some(byte) = bytes.next() {
        let (byte, was_encoded) = match byte {
            b'%' => (decode(bytes.next(), bytes.next())?, true),
            other => (other, false),
        };
        match byte {
            0..=0x1f | 0x7f => return Err(RejectedPath::Control),
            b'\\' => return Err(RejectedPath::Backslash),
            b'#' if !was_encoded => return Err(RejectedPath::Fragment),
            _ if is_unreserved(byte) || (!was_encoded && is_plain(byte)) => out.push(char::from(byte)),
            _ => push_encoded(&mut out, byte),
        }
    }
    Ok(out)
}

fn decode(high: Option<u8>, low: Option<u8>) -> Result<u8, RejectedPath> {
    let byte = high.zip(low).and_then(|(high, low)| escaped_byte(high, low));
    byte.ok_or(RejectedPath::BadEscape)
}

fn push_encoded(out: &mut String, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    out.push('%');
    out.push(char::from(DIGITS[usize::from(byte >> 4)]));
    out.push(char::from(DIGITS[usize::from(byte & 15)]));
}

fn remove_dot_segments(path: &str) -> Result<String, RejectedPath> {
    let mut kept: Vec<&str> = Vec::new();
    let mut segments = path.split('/').skip(1).peekable();
    let mut ends_with_slash = false;
    while let Some(segment) = segments.next() {
        ends_with_slash = segments.peek().is_none() && matches!(segment, "" | "." | "..");
        let before_parameter = segment.split(';').next().unwrap_or(segment);
        match segment {
            "" | "." => {}
            ".." => drop(kept.pop().ok_or(RejectedPath::Climbs)?),
            _ if matches!(before_parameter, "." | "..") => return Err(RejectedPath::Climbs),
            _ => kept.push(segment),
        }
    }
    let mut out = String::with_capacity(path.len());
    for segment in &kept {
        out.push('/');
        out.push_str(segment);
    }
    if ends_with_slash || kept.is_empty() {
        out.push('/');
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(path: &str) -> String {
        normalise_path(path).unwrap().unwrap_or_else(|| path.to_owned())
    }

    #[test]
    fn leaves_ordinary_paths_alone() {
        for path in ["/", "/a/b.c", "/a/", "/v1/x:y", "/a;p=1/b", "/%E4%B8%AD", "/a%2Fb", "/a+b"] {
            assert_eq!(normalise_path(path), Ok(None), "{path}");
        }
    }

    #[test]
    fn brings_every_spelling_to_one() {
        let cases = [
            ("/a//b", "/a/b"),
            ("//", "/"),
            ("/a/./b", "/a/b"),
            ("/a/../b", "/b"),
            ("/a/b/..", "/a/"),
            ("/a/.", "/a/"),
            ("/%61%2e%2E/x", "/a../x"),
            ("/a/%2e%2e/b", "/b"),
            ("/%e4", "/%E4"),
            ("/a%2fb", "/a%2Fb"),
            ("/a b", "/a%20b"),
            ("/ä", "/%C3%A4"),
            ("/.hidden", "/.hidden"),
            ("/...", "/..."),
        ];
        for (spelling, expected) in cases {
            assert_eq!(canonical(spelling), expected, "{spelling}");
        }
    }

    #[test]
    fn refuses_what_two_readers_read_differently() {
        let cases = [
            ("", RejectedPath::NotAbsolute),
            ("a", RejectedPath::NotAbsolute),
            ("/%", RejectedPath::BadEscape),
            ("/%4", RejectedPath::BadEscape),
            ("/%zz", RejectedPath::BadEscape),
            ("/%00", RejectedPath::Control),
            ("/a\nb", RejectedPath::Control),
            ("/a\\b", RejectedPath::Backslash),
            ("/a%5cb", RejectedPath::Backslash),
            ("/..", RejectedPath::Climbs),
            ("/a/../../b", RejectedPath::Climbs),
            ("/a/..;/b", RejectedPath::Climbs),
            ("/a#b", RejectedPath::Fragment),
        ];
        for (path, expected) in cases {
            assert_eq!(normalise_path(path), Err(expected), "{path:?}");
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_its_own(path in "/[a-zA-Z0-9%./;_~-]{0,24}") {
            if let Ok(Some(once)) = normalise_path(&path) {
                prop_assert_eq!(normalise_path(&once), Ok(None));
            }
        }
    }
}
