use std::fmt;
use std::str::FromStr;

use crate::types::text_leaf;

/// A subject, as RFC 4514 writes it, where `*` stands for any text within one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectPattern(Wildcard);

/// An alternative name with its kind, where `*` stands for any text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SanPattern(Wildcard);

/// The SHA-256 of a certificate, as 64 hexadecimal digits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(String);

/// A text that no name of a certificate can be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not {kind}; {allowed}")]
pub struct InvalidNamePattern {
    found: String,
    kind: &'static str,
    allowed: &'static str,
}

/// A text that is no fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{found}` is not a fingerprint; write the SHA-256 of the certificate, 64 hexadecimal digits with or without colons"
)]
pub struct InvalidFingerprint {
    found: String,
}

/// A text with stars, taken apart at them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wildcard {
    written: String,
    /// What stands before, between and behind the stars.
    parts: Vec<String>,
}

impl Wildcard {
    fn new(written: &str) -> Self {
        Self { written: written.to_owned(), parts: written.split('*').map(str::to_owned).collect() }
    }

    /// Whether the stars can stand for texts without a byte of `ends`. Takes at most as many steps as the pattern has bytes for
    /// each byte of the text.
    fn matches(&self, text: &str, ends: &[u8]) -> bool {
        let Some((first, rest)) = self.parts.split_first() else { return text.is_empty() };
        match text.as_bytes().strip_prefix(first.as_bytes()) {
            Some(text) => stars_match(text, rest, ends),
            None => false,
        }
    }
}

/// Whether `text` is a star's text, the first part, a star's text, the second part, and so on to its end.
fn stars_match(text: &[u8], parts: &[String], ends: &[u8]) -> bool {
    // Places in the text up to which the parts so far reach.
    let mut reached = vec![0];
    for part in parts {
        let mut next = Vec::new();
        let mut open = false;
        // In their order, as the text is gone through.
        let mut starts = reached.iter().copied().peekable();
        for at in 0..=text.len() {
            let begins = starts.next_if_eq(&at).is_some();
            open = begins || (open && at > 0 && !ends.contains(&text[at - 1]));
            if open && text[at..].starts_with(part.as_bytes()) {
                next.push(at + part.len());
            }
        }
        reached = next;
    }
    reached.last() == Some(&text.len())
}

// === SubjectPattern ===

impl SubjectPattern {
    /// Whether a certificate's subject is one of these.
    pub fn matches(&self, subject: &str) -> bool {
        // Within values these two are escaped, so that no value can pass for two.
        self.0.matches(subject, b",+")
    }
}

impl FromStr for SubjectPattern {
    type Err = InvalidNamePattern;

    fn from_str(text: &str) -> Result<Self, InvalidNamePattern> {
        let fail = |allowed| InvalidNamePattern { found: text.to_owned(), kind: "a subject", allowed };
        if !text.bytes().all(is_printable) {
            return Err(fail(
                "other bytes than printable ASCII are written as `\\` and two hexadecimal digits",
            ));
        }
        let is_attribute = |part: &str| part.split_once('=').is_some_and(|(name, _)| is_attribute_name(name));
        if !text.split([',', '+']).all(is_attribute) {
            return Err(fail(
                "write it as certificates tell it, without spaces after commas: CN=worker-*,OU=Batch,O=Example",
            ));
        }
        Ok(Self(Wildcard::new(text)))
    }
}

fn is_printable(byte: u8) -> bool {
    byte == b' ' || byte.is_ascii_graphic()
}

fn is_attribute_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.')
}

impl fmt::Display for SubjectPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.written)
    }
}

text_leaf!(SubjectPattern, "a subject", "CN=worker-*,OU=Batch,O=Example");

// === SanPattern ===

/// As certificates tell them.
const KINDS: [&str; 4] = ["DNS:", "URI:", "email:", "IP:"];

impl SanPattern {
    /// Whether an alternative name is one of these. Those of hosts are the same in any case.
    pub fn matches(&self, san: &str) -> bool {
        if self.0.written.starts_with("DNS:") {
            return san.starts_with("DNS:") && {
                let lower = format!("DNS:{}", san["DNS:".len()..].to_ascii_lowercase());
                self.0.matches(&lower, b"")
            };
        }
        self.0.matches(san, b"")
    }
}

impl FromStr for SanPattern {
    type Err = InvalidNamePattern;

    fn from_str(text: &str) -> Result<Self, InvalidNamePattern> {
        let fail =
            |allowed| InvalidNamePattern { found: text.to_owned(), kind: "an alternative name", allowed };
        let kind = KINDS.into_iter().find(|kind| text.starts_with(kind));
        let Some(kind) = kind else {
            return Err(fail("write its kind first: DNS:, URI:, email: or IP:"));
        };
        if text.len() == kind.len() || !text.bytes().all(is_printable) {
            return Err(fail("a text of printable ASCII follows its kind"));
        }
        Ok(Self(Wildcard::new(&match kind {
            "DNS:" => format!("DNS:{}", text[kind.len()..].to_ascii_lowercase()),
            _ => text.to_owned(),
        })))
    }
}

impl fmt::Display for SanPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.written)
    }
}

text_leaf!(SanPattern, "an alternative name", "URI:spiffe://example/*");

// === Fingerprint ===

impl Fingerprint {
    /// The 64 digits, in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Fingerprint {
    type Err = InvalidFingerprint;

    fn from_str(text: &str) -> Result<Self, InvalidFingerprint> {
        const DIGITS: usize = 64;
        let digits: String = text.chars().filter(|&c| c != ':').map(|c| c.to_ascii_lowercase()).collect();
        if digits.len() == DIGITS && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            Ok(Self(digits))
        } else {
            Err(InvalidFingerprint { found: text.chars().take(2 * DIGITS).collect() })
        }
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(
    Fingerprint,
    "a SHA-256 in hexadecimal digits",
    "8c2b2a7b6c2f2f4c8f8d6f5c1f7f0c0e3b5a4d9e7f6a1b2c3d4e5f60718293a4"
);

#[cfg(test)]
mod tests {
    use super::*;

    fn subject(pattern: &str, text: &str) -> bool {
        pattern.parse::<SubjectPattern>().unwrap().matches(text)
    }

    fn san(pattern: &str, text: &str) -> bool {
        pattern.parse::<SanPattern>().unwrap().matches(text)
    }

    #[test]
    fn a_star_in_a_subject_stays_within_one_value() {
        let pattern = "CN=worker-*,OU=Batch,O=Example";
        assert!(subject(pattern, "CN=worker-7,OU=Batch,O=Example"));
        assert!(subject(pattern, "CN=worker-,OU=Batch,O=Example"));
        for other in [
            "CN=worker-7,OU=Batch,O=Example,C=DE",
            "CN=evil,CN=worker-7,OU=Batch,O=Example",
            "CN=worker-7,OU=Evil,OU=Batch,O=Example",
            "CN=worker-7+OU=Batch,OU=Batch,O=Example",
            "CN=worker-7\\2COU=Batch\\2CO=Example",
            "CN=Worker-7,OU=Batch,O=Example",
            "CN=worker-7,OU=Batch,O=Example ",
            "",
        ] {
            assert!(!subject(pattern, other), "{other}");
        }
        assert!(subject("CN=*", "CN=anybody") && !subject("CN=*", "CN=anybody,O=Else"));
        assert!(subject("CN=*a*b*,O=*", "CN=xaybz,O=E") && !subject("CN=*a*b*,O=*", "CN=xa,O=b"));
    }

    #[test]
    fn alternative_names_are_of_their_kind() {
        assert!(san("URI:spiffe://example/*", "URI:spiffe://example/batch/worker"));
        for other in
            ["DNS:spiffe://example/x", "URI:spiffe://example.evil/x", "URI:SPIFFE://example/x", "URI:"]
        {
            assert!(!san("URI:spiffe://example/*", other), "{other}");
        }
        assert!(san("DNS:*.Workers.example", "DNS:a.WORKERS.example"));
        assert!(!san("DNS:*.workers.example", "DNS:workers.example"));
        assert!(!san("DNS:*.workers.example", "URI:a.workers.example"));
        assert!(san("email:ops@example.com", "email:ops@example.com"));
        assert!(!san("DNS:a", "DN") && !san("DNS:a", ""));
    }

    #[test]
    fn many_stars_do_not_take_forever() {
        let pattern: SanPattern = format!("URI:{}b", "*a".repeat(40)).parse().unwrap();
        assert!(!pattern.matches(&format!("URI:{}", "a".repeat(2000))));
    }

    #[test]
    fn what_no_certificate_can_have_is_refused() {
        for text in ["", "worker", "CN=a, O=b", "CN=a,", "*", "CN=é", "=a"] {
            assert!(text.parse::<SubjectPattern>().is_err(), "{text:?}");
        }
        for text in ["", "a.example", "dns:a.example", "DNS:", "RID:1", "DNS:é.example"] {
            assert!(text.parse::<SanPattern>().is_err(), "{text:?}");
        }
        for text in ["", "ab", &"g".repeat(64), &"a".repeat(63), &"a".repeat(65)] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text:?}");
        }
        let with_colons = ["AB"; 32].join(":");
        assert_eq!(with_colons.parse::<Fingerprint>().unwrap().as_str(), "ab".repeat(32));
    }
}
