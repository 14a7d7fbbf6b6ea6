use std::time::{SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Status, span};
use tokio::time::Instant;

use crate::telemetry::{SpanId, TraceContext};

use super::Span;

/// On which side of a request a span is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The answer to a request.
    Server,
    /// A request that was made.
    Client,
    /// Neither.
    Internal,
}

/// What there is to say of a span.
#[derive(Debug)]
pub(crate) struct SpanParts {
    pub(crate) kind: Kind,
    pub(crate) name: String,
    pub(crate) parent: Option<SpanId>,
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
    pub(crate) attributes: Attributes,
    pub(crate) has_failed: bool,
}

/// What is told of a span or of a process, by name.
#[derive(Debug, Default)]
pub(crate) struct Attributes(Vec<KeyValue>);

/// The wall clock beside the one that goes on evenly, so that all spans of a request are in step.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SpanClock {
    now: Instant,
    wall: SystemTime,
}

/// The flags of a span: what of its context is known, and that its parent is elsewhere.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// A span in the trace of `context`, which is its own.
pub(crate) fn span(context: &TraceContext, parts: SpanParts, clock: SpanClock) -> Span {
    let SpanParts { kind, name, parent, began, ended, attributes, has_failed } = parts;
    let is_remote = if kind == Kind::Server && parent.is_some() { IS_REMOTE } else { 0 };
    let state = context.state.as_ref().and_then(|state| state.to_str().ok());
    Span {
        trace_id: context.trace_id.bytes().to_vec(),
        span_id: context.span_id.bytes().to_vec(),
        parent_span_id: parent.map(|parent| parent.bytes().to_vec()).unwrap_or_default(),
        trace_state: state.unwrap_or_default().to_owned(),
        flags: u32::from(context.flags()) | HAS_IS_REMOTE | is_remote,
        name,
        kind: match kind {
            Kind::Server => span::SpanKind::Server,
            Kind::Client => span::SpanKind::Client,
            Kind::Internal => span::SpanKind::Internal,
        }
        .into(),
        start_time_unix_nano: clock.nanos(began),
        end_time_unix_nano: clock.nanos(ended.max(began)),
        attributes: attributes.into_list(),
        status: has_failed.then(|| Status { code: StatusCode::Error.into(), message: String::new() }),
        ..Span::default()
    }
}

impl SpanClock {
    /// As both are at this moment.
    pub(crate) fn new(now: Instant, wall: SystemTime) -> Self {
        Self { now, wall }
    }

    fn nanos(&self, at: Instant) -> u64 {
        let wall = match self.now.checked_duration_since(at) {
            Some(ago) => self.wall - ago,
            None => self.wall + at.duration_since(self.now),
        };
        let since = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Attributes {
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.push(name, Value::StringValue(value.to_owned()));
    }

    pub(crate) fn number(&mut self, name: &str, value: impl Into<i64>) {
        self.push(name, Value::IntValue(value.into()));
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.push(name, Value::BoolValue(value));
    }

    fn push(&mut self, name: &str, value: Value) {
        let value = Some(AnyValue { value: Some(value) });
        self.0.push(KeyValue { key: name.to_owned(), value, ..KeyValue::default() });
    }

    pub(super) fn into_list(self) -> Vec<KeyValue> {
        self.0
    }
}
