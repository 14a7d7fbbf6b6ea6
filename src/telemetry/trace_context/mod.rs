//! Which trace a request belongs to, as the headers `traceparent` and `tracestate` of the W3C tell it (Trace Context, level
//! 1, and the one flag that level 2 adds). Pure: ids come from the random numbers that are passed in.

mod state;
#[cfg(test)]
mod tests;

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::types::{Random, escaped_byte};

pub(crate) const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
pub(crate) const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// What all spans of a trace have in common. Never zero; displayed as 32 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct TraceId([u8; 16]);

/// What tells one span from another of its trace. Never zero; displayed as 16 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SpanId([u8; 8]);

/// Where a request stands in a trace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TraceContext {
    pub(crate) trace_id: TraceId,
    /// The span that the request was made in.
    pub(crate) span_id: SpanId,
    flags: u8,
    /// What the systems on the way have added, as `tracestate` has it.
    pub(crate) state: Option<HeaderValue>,
}

/// Whoever made the request may have recorded it.
const SAMPLED: u8 = 0b01;
/// The last seven bytes of the trace's id are random. Level 2 has it passed on as it came; all other flags are none yet, and
/// set to zero (§3.2.2.5.3).
const RANDOM: u8 = 0b10;

/// Lengths of a `traceparent`: of its version 00, and of what every later one begins with.
const LENGTH: usize = 55;

impl TraceContext {
    /// Reads what the headers of a request tell; `None` if that is nothing, or nothing that counts. A `traceparent` that stands
    /// twice is none, and a `tracestate` that is none is left out.
    pub(crate) fn parse(headers: &HeaderMap) -> Option<Self> {
        let mut fields = headers.get_all(TRACEPARENT).iter();
        let field = fields.next()?;
        if fields.next().is_some() {
            return None;
        }
        let mut context = parse_parent(field.as_bytes().trim_ascii())?;
        context.state = state::parse(&headers.get_all(TRACESTATE));
        Some(context)
    }

    /// The beginning of a trace that is recorded, or not.
    pub(crate) fn root(trace_id: TraceId, span_id: SpanId, is_sampled: bool) -> Self {
        Self { trace_id, span_id, flags: u8::from(is_sampled), state: None }
    }

    /// The context of what is done in another span of the same trace.
    pub(crate) fn in_span(&self, span_id: SpanId) -> Self {
        Self { span_id, ..self.clone() }
    }

    /// Whether whoever made the request may have recorded it.
    pub(crate) fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    pub(crate) fn flags(&self) -> u8 {
        self.flags
    }

    /// The value of `traceparent`, in version 00. Every request gets one, recorded or not.
    pub(crate) fn traceparent(&self) -> HeaderValue {
        let mut text = *b"00-................................-................-..";
        write_digits(&mut text[3..35], &self.trace_id.0);
        write_digits(&mut text[36..52], &self.span_id.0);
        write_digits(&mut text[53..], &[self.flags]);
        // Digits, letters and dashes are legal in every header.
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

/// The four parts that every version begins with. One that is later than 00 may have more of them.
fn parse_parent(text: &[u8]) -> Option<TraceContext> {
    let (head, rest) = text.split_at_checked(LENGTH)?;
    let [version] = digits(&head[..2])?;
    let has_room = match version {
        0x00 => rest.is_empty(),
        0xff => false,
        _ => rest.is_empty() || rest[0] == b'-',
    };
    if !has_room || [2, 35, 52].iter().any(|&at| head[at] != b'-') {
        return None;
    }
    let [flags] = digits(&head[53..])?;
    Some(TraceContext {
        trace_id: TraceId::new(digits(&head[3..35])?)?,
        span_id: SpanId::new(digits(&head[36..52])?)?,
        flags: flags & (SAMPLED | RANDOM),
        state: None,
    })
}

/// Bytes by two hexadecimal digits each, in lower case.
fn digits<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if text.len() != 2 * N || text.iter().any(u8::is_ascii_uppercase) {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.chunks_exact(2)) {
        *byte = escaped_byte(pair[0], pair[1])?;
    }
    Some(bytes)
}

/// Two hexadecimal digits for each byte, in lower case, into as much room.
fn write_digits(room: &mut [u8], bytes: &[u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in room.chunks_exact_mut(2).zip(bytes) {
        pair.copy_from_slice(&[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
    }
}

impl TraceId {
    fn new(bytes: [u8; 16]) -> Option<Self> {
        (bytes != [0; 16]).then_some(Self(bytes))
    }

    pub(crate) fn random(random: &mut Random) -> Self {
        Self(random.u128(1..).to_be_bytes())
    }

    pub(crate) fn bytes(&self) -> [u8; 16] {
        self.0
    }
}

impl SpanId {
    fn new(bytes: [u8; 8]) -> Option<Self> {
        (bytes != [0; 8]).then_some(Self(bytes))
    }

    pub(crate) fn random(random: &mut Random) -> Self {
        Self(random.u64(1..).to_be_bytes())
    }

    pub(crate) fn bytes(&self) -> [u8; 8] {
        self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
