use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;
use http::HeaderValue;

use crate::filters::lines::{entry, read_lines};
use crate::types::{ConsumerName, Digest};

/// Whose key it is, by the key's digest.
#[derive(Debug, Default)]
pub(super) struct Keys {
    consumers: HashMap<Digest, HeaderValue, RandomState>,
}

impl Keys {
    /// Adds a consumer's key.
    ///
    /// # Errors
    /// When it is no key at all, or another consumer's.
    pub(super) fn add(&mut self, consumer: &ConsumerName, key: Digest) -> Result<(), String> {
        if key == Digest::of(b"") {
            return Err("this is the SHA-256 of an empty text, so that no key would do".to_owned());
        }
        let name = HeaderValue::from_str(consumer.as_str()).map_err(|error| error.to_string())?;
        match self.consumers.entry(key) {
            Entry::Vacant(free) => {
                free.insert(name);
                Ok(())
            }
            Entry::Occupied(known) if *known.get() == name => Ok(()),
            Entry::Occupied(known) => {
                Err(format!("the key is that of `{}` too", known.get().to_str().unwrap_or_default()))
            }
        }
    }

    /// Whose key it is.
    pub(super) fn consumer(&self, key: &Digest) -> Option<&HeaderValue> {
        self.consumers.get(key)
    }

    pub(super) fn len(&self) -> usize {
        self.consumers.len()
    }
}

/// Reads a file of keys, a name and a digest on each line; empty lines, and what follows a `#`, count for nothing.
///
/// # Errors
/// The lines that cannot be read, by their number. Nothing of a line but its name is shown.
pub(super) fn read_file(content: &[u8]) -> Result<Keys, String> {
    const FORM: &str = "write a name, spaces, and the 64 hexadecimal digits of the key's SHA-256";
    let mut keys = Keys::default();
    read_lines(content, |line| {
        let Some(line) = entry(line) else { return Ok(()) };
        let (name, digits) = line.split_once(char::is_whitespace).ok_or(FORM)?;
        let digest = Digest::from_hex(digits.trim()).ok_or(FORM)?;
        let name = name.parse::<ConsumerName>().map_err(|error| error.to_string())?;
        keys.add(&name, digest)
    })?;
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ACME: &str = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b";

    #[test]
    fn keys_are_found_by_their_digest() {
        // The SHA-256 of `secret`.
        let keys =
            read_file(format!("# ours\n\nacme   {ACME} # old\r\nacme\t{}\n", "ab".repeat(32)).as_bytes())
                .unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys.consumer(&Digest::of(b"secret")).unwrap(), "acme");
        assert!(keys.consumer(&Digest::of(b"secret2")).is_none());
        assert_eq!(Digest::from_hex(&ACME.to_uppercase()), Some(Digest::of(b"secret")));
    }

    #[test]
    fn wrong_lines_are_told_without_what_may_be_a_key() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let text = format!("acme {ACME}\nacme\nglobex {ACME}\nacme hunter2\nacme {empty}\n");
        let error = read_file(text.as_bytes()).unwrap_err();
        assert!(error.starts_with("line 2: write a name"), "{error}");
        assert!(
            error.contains("line 3: the key is that of `acme` too") && error.ends_with("; and 1 more"),
            "{error}"
        );
        assert!(!error.contains("hunter2"), "{error}");
        for digits in ["", "+b".repeat(32).as_str(), &"a".repeat(63), &"é".repeat(32)] {
            assert_eq!(Digest::from_hex(digits), None, "{digits}");
        }
    }

    #[test]
    fn a_hundred_thousand_keys_are_read() {
        let lines: Vec<_> = (0..100_000_u32).map(|n| format!("c{n} {n:064x}\n")).collect();
        let keys = read_file(lines.concat().as_bytes()).unwrap();
        assert_eq!(keys.len(), 100_000);
        let last = Digest::from_hex(&format!("{:064x}", 99_999)).unwrap();
        assert_eq!(keys.consumer(&last).unwrap(), "c99999");
    }
}
