//! Values as all forms of a line write them.

use std::fmt::Display;
use std::io::Write;
use std::os::unix::ffi::OsStrExt;

use serde::Serialize;

use crate::telemetry::lines::LineValue;
use crate::types::{EndpointAddr, KnownField, LogField};

use super::time::{push_clf_time, push_time};

/// No value is longer, so that lines have an end.
pub(super) const LONGEST: usize = 8 << 10;
/// What stands for the rest of one that is.
pub(super) const CUT: &[u8] = b"...";

/// The part of a text that is written, and what is written for the rest.
fn cut(text: &[u8]) -> (&[u8], &'static [u8]) {
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

/// Writes a value as it stands within a text; nothing where there is none. Whatever the network or a file had a say in goes
/// through `escape`.
pub(super) fn push_value(
    value: &LineValue<'_>,
    field: &LogField,
    escape: impl Fn(&[u8], &mut Vec<u8>),
    out: &mut Vec<u8>,
) {
    let text = |text: &[u8], out: &mut Vec<u8>| {
        let (text, rest) = cut(text);
        escape(text, out);
        out.extend_from_slice(rest);
    };
    match value {
        LineValue::Nothing => {}
        LineValue::Word(word) => out.extend_from_slice(word.as_bytes()),
        LineValue::Text(value) | LineValue::Url(value) => text(value, out),
        LineValue::RequestLine { method, target, protocol } => {
            text(method.as_bytes(), out);
            out.push(b' ');
            text(target, out);
            out.push(b' ');
            text(protocol.as_bytes(), out);
        }
        LineValue::Number(number) => put_json(number, out),
        LineValue::Decimal(number) => put_json(number, out),
        LineValue::Time(time) if *field == LogField::Known(KnownField::TimeClf) => push_clf_time(*time, out),
        LineValue::Time(time) => push_time(*time, out),
        LineValue::Client(address) => put(address, out),
        LineValue::Endpoint(EndpointAddr::Inet(address)) => put(address, out),
        LineValue::Endpoint(EndpointAddr::Unix(path)) => {
            out.extend_from_slice(b"unix:");
            text(path.as_os_str().as_bytes(), out);
        }
        LineValue::Waf(finding) => text(finding.verdict.as_bytes(), out),
    }
}
