use crate::types::escaped_byte;

/// A byte of a text, however often it was encoded: `=`, `%3D`, `%253D`.
pub(super) struct Mark {
    pub(super) byte: u8,
    /// How many bytes stand for it.
    pub(super) length: usize,
    /// How often it was encoded.
    pub(super) depth: usize,
}

impl Mark {
    pub(super) fn at(text: &[u8], at: usize) -> Self {
        let plain = Self { byte: text[at], length: 1, depth: 0 };
        if plain.byte != b'%' {
            return plain;
        }
        let encoded = text[at + 1..].chunks(2).take_while(|pair| *pair == b"25").count();
        let digits = at + 1 + 2 * encoded;
        let byte = text.get(digits..digits + 2).and_then(|pair| escaped_byte(pair[0], pair[1]));
        match byte {
            Some(byte) => Self { byte, length: digits + 2 - at, depth: encoded + 1 },
            None => plain,
        }
    }
}
