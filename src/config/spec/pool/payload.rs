use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::config::spec::shapes::text_or_map;
use crate::types::deserialize_text;

/// Datagrams up to this length reach everybody in one piece: IPv6 carries 1280 bytes everywhere (RFC 8200 §5).
const MAX_PAYLOAD: usize = 1200;

/// What a datagram carries: a text, or bytes as `{ hex: "12 34" }`. Never empty.
///
/// In a text nothing stands that could mean other bytes than it seems to. YAML reads `"\xff"` as a character, which has
/// two bytes in UTF-8, and leaves a backslash alone that is not between double quotes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload(Vec<u8>);

impl Payload {
    /// The bytes, 1 to 1200.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Something that is not what a probe can send or expect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidPayload {
    /// An answer would always contain it, and a server would hardly answer it.
    #[error("there is nothing in it; 1 to {MAX_PAYLOAD} bytes are allowed")]
    Empty,
    /// It might not get through in one piece.
    #[error("it has {0} bytes; 1 to {MAX_PAYLOAD} are allowed")]
    Long(usize),
    /// Its encoding is anybody's guess.
    #[error("`{0}` is not an ASCII character; write bytes above 7f as `{{ hex: \"ff 0a\" }}`")]
    NotAscii(char),
    /// Probably an escape that YAML did not read.
    #[error(
        "a backslash is left in it; escapes like \\n count between double quotes alone, and a backslash itself is \
         written as `{{ hex: \"5c\" }}`"
    )]
    Backslash,
    /// Something else among the digits.
    #[error("`{0}` is not a hexadecimal digit; write two for each byte, like `12 34 ff`")]
    NotHex(char),
    /// Digits that end within a byte.
    #[error("`{0}` ends within a byte; write two hexadecimal digits for each, like `0a`")]
    HalfByte(String),
}

impl TryFrom<Vec<u8>> for Payload {
    type Error = InvalidPayload;

    fn try_from(bytes: Vec<u8>) -> Result<Self, InvalidPayload> {
        match bytes.len() {
            0 => Err(InvalidPayload::Empty),
            1..=MAX_PAYLOAD => Ok(Self(bytes)),
            length => Err(InvalidPayload::Long(length)),
        }
    }
}

impl FromStr for Payload {
    type Err = InvalidPayload;

    fn from_str(text: &str) -> Result<Self, InvalidPayload> {
        match text.chars().find(|c| !c.is_ascii() || *c == '\\') {
            Some('\\') => Err(InvalidPayload::Backslash),
            Some(other) => Err(InvalidPayload::NotAscii(other)),
            None => text.as_bytes().to_vec().try_into(),
        }
    }
}

/// A payload in hexadecimal digits, two for each byte, with white space between bytes as one likes.
struct HexDigits(Payload);

impl FromStr for HexDigits {
    type Err = InvalidPayload;

    fn from_str(text: &str) -> Result<Self, InvalidPayload> {
        let mut bytes = Vec::with_capacity(text.len() / 2);
        for group in text.split_ascii_whitespace() {
            read_digits(group, &mut bytes)?;
        }
        bytes.try_into().map(Self)
    }
}

/// Reads digits that stand together. Whoever leaves out a leading zero would shift all that comes after.
fn read_digits(group: &str, bytes: &mut Vec<u8>) -> Result<(), InvalidPayload> {
    let digit = |c: char| c.to_digit(16).ok_or(InvalidPayload::NotHex(c));
    let digits = group.chars().map(digit).collect::<Result<Vec<_>, _>>()?;
    for pair in digits.chunks(2) {
        let &[high, low] = pair else { return Err(InvalidPayload::HalfByte(group.to_owned())) };
        // Two hexadecimal digits make at most 255.
        bytes.push((high * 16 + low) as u8);
    }
    Ok(())
}

impl<'de> Deserialize<'de> for HexDigits {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserialize_text(deserializer, "hexadecimal digits like 12 34 ff")
    }
}

/// A payload, written as a map.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PayloadMap {
    hex: HexDigits,
}

impl From<PayloadMap> for Payload {
    fn from(map: PayloadMap) -> Self {
        map.hex.0
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        text_or_map::<_, PayloadMap, _>(deserializer, "a text like PING, or `{ hex: \"12 34\" }`")
    }
}

impl Serialize for Payload {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.escape_ascii())
    }
}

impl JsonSchema for Payload {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Payload".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "title": "a text, or `{ hex: DIGITS }`",
            "examples": ["PING"],
        })
    }
}

/// So much of a payload is shown.
const SHOWN: usize = 24;

/// The beginning of some bytes as messages show it: a text with escapes, anything else as hexadecimal digits.
pub(crate) fn show_payload(bytes: &[u8]) -> String {
    let is_text = |byte: &u8| matches!(byte, b' '..=b'~' | b'\t' | b'\n' | b'\r');
    let beginning = &bytes[..bytes.len().min(SHOWN)];
    let shown = if beginning.iter().all(is_text) {
        beginning.escape_ascii().to_string()
    } else {
        beginning.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ")
    };
    let rest = if bytes.len() > SHOWN { "…" } else { "" };
    format!("`{shown}{rest}`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(digits: &str) -> Result<Vec<u8>, InvalidPayload> {
        digits.parse::<HexDigits>().map(|payload| payload.0.0)
    }

    #[test]
    fn a_text_is_its_bytes() {
        let payload: Payload = "PING 1\r\n\0".parse().unwrap();
        assert_eq!(payload.as_bytes(), b"PING 1\r\n\0");
    }

    #[test]
    fn a_text_that_could_mean_other_bytes_is_refused() {
        assert_eq!("\u{ff}\u{ff}getinfo".parse::<Payload>(), Err(InvalidPayload::NotAscii('\u{ff}')));
        assert_eq!(r"PING\r\n".parse::<Payload>(), Err(InvalidPayload::Backslash));
    }

    #[test]
    fn digits_come_in_pairs_with_any_white_space_between() {
        assert_eq!(hex("12Ff\n  00\t0a"), Ok(vec![0x12, 0xff, 0, 0x0a]));
        assert_eq!(hex("1 2 ff"), Err(InvalidPayload::HalfByte("1".to_owned())));
        assert_eq!(hex("1234 56f"), Err(InvalidPayload::HalfByte("56f".to_owned())));
        assert_eq!(hex("0x1234"), Err(InvalidPayload::NotHex('x')));
        assert_eq!(hex("é0"), Err(InvalidPayload::NotHex('é')));
    }

    #[test]
    fn there_are_1_to_1200_bytes() {
        assert_eq!("".parse::<Payload>(), Err(InvalidPayload::Empty));
        assert_eq!(hex(" \n"), Err(InvalidPayload::Empty));
        assert!("x".repeat(1200).parse::<Payload>().is_ok() && hex(&"00".repeat(1200)).is_ok());
        assert_eq!("x".repeat(1201).parse::<Payload>(), Err(InvalidPayload::Long(1201)));
        assert_eq!(hex(&"00 ".repeat(1201)), Err(InvalidPayload::Long(1201)));
    }

    #[test]
    fn messages_show_the_beginning_of_any_bytes() {
        assert_eq!(show_payload(b"PONG\r\n"), r"`PONG\r\n`");
        assert_eq!(show_payload(b"\x12\x34\x81\x80"), "`12 34 81 80`");
        assert_eq!(show_payload(&[b'x'; 25]), format!("`{}…`", "x".repeat(24)));
        assert_eq!(show_payload(&[0xff; 2000]), format!("`{}ff…`", "ff ".repeat(23)));
    }
}
