//! What Evener tells of itself: messages for operators, and a line for every request, connection and flow.

mod access_log;
mod audit_file;
pub(crate) mod histogram;
mod last_minute;
mod line_queue;
mod lines;
mod messages;
mod pulse;
mod read_lines;
mod recent;
mod redaction;
mod request_stats;
mod settle;
mod trace_context;

pub(crate) use access_log::{AccessLog, Occasion, OwnLines, PendingLine};
pub(crate) use audit_file::AuditFile;
pub(crate) use histogram::{AtomicHistogram, Histogram};
pub(crate) use last_minute::{Latencies, Minute, Percentiles, RecentCount, TURN, Turn};
pub(crate) use line_queue::LineCounts;
pub(crate) use lines::{
    AccessLine, ConnectionLine, ConnectionTimings, Millis, Timings, WafFinding, protocol_word, started,
};
pub(crate) use messages::{AUDIT_TARGET, Messages};
pub(crate) use pulse::Tally;
pub use pulse::{Pulse, PulseSummary};
pub(crate) use read_lines::read_lines;
pub(crate) use recent::RecentLatencies;
pub(crate) use redaction::Redaction;
pub(crate) use request_stats::{CLASS_NAMES, EndedRequest, RequestStats};
pub(crate) use settle::wait_until;
pub(crate) use trace_context::{SpanId, TRACEPARENT, TRACESTATE, TraceContext, TraceId};
