//! Values as all forms of a line write them.

use std::fmt::Display;
use std::io::Write;

use serde::Serialize;

/// No value is longer, so that lines have an end.
pub(super) const LONGEST: usize = 8 << 10;
/// What stands for the rest of one that is.
pub(super) const CUT: &[u8] = b"...";

/// The part of a text that is written, and what is written for the rest.
pub(super) fn cut(text: &[u8]) -> (&[u8], &'static [u8]) {
    match text.get(..LONGEST) {
        Some(beginning) if beginning.len() < text.len() => (beginning, CUT),
        _ => (text, b""),
    }
}

// Writing into a Vec cannot fail, nor can plain data be no JSON.

pub(super) fn put(value: impl Display, out: &mut Vec<u8>) {
    let _ = write!(out, "{value}");
}

/// Much faster than the above for numbers.
pub(super) fn put_json(value: &impl Serialize, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, value);
}
