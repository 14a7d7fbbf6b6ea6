mod value;

use std::net::IpAddr;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, Version};
use tokio::time::Instant;

use crate::types::{EndpointAddr, KnownField, LogField, Variable, Vars};

use super::{SpanId, TraceId};

use KnownField as F;
pub(crate) use value::{LineValue, WafFinding};

/// What a line of the access log can be made of.
pub(crate) trait LogLine {
    const KIND: LineKind;
    /// What it tells in JSON where nobody has said what, in this order.
    const FIELDS: &'static [KnownField];

    /// What it tells of one field.
    fn value(&self, field: &LogField) -> LineValue<'_>;
}

/// What a line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineKind {
    Request,
    /// Of TCP, or a flow of datagrams.
    Connection,
}

/// What the log tells of one request. What is empty is left out.
#[derive(Clone, Copy)]
pub(crate) struct AccessLine<'a> {
    pub began: SystemTime,
    pub request_id: Option<&'a [u8]>,
    /// The trace that the request is of, where traces are wanted.
    pub trace_id: Option<TraceId>,
    /// Its span there, where it is recorded.
    pub span_id: Option<SpanId>,
    pub client: Option<IpAddr>,
    pub listener: &'a str,
    /// Empty where nobody knows: it broke off, or was refused, before it told.
    pub protocol: &'a str,
    pub method: &'a str,
    pub host: &'a str,
    pub target: &'a str,
    pub status: u16,
    pub cause: Option<&'a str>,
    /// How a call of gRPC ended, by its number.
    pub grpc_status: Option<u16>,
    /// What a rate limit did to the request, if it came too fast.
    pub rate_limit: Option<&'a str>,
    /// What `waf` found in the request, if it found anything.
    pub waf: Option<WafFinding<'a>>,
    /// What the cache did, if the route has one.
    pub cache: Option<&'a str>,
    pub route: Option<&'a str>,
    pub pool: Option<&'a str>,
    pub endpoint: Option<&'a EndpointAddr>,
    pub attempts: usize,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub ms: Timings,
    pub user_agent: Option<&'a [u8]>,
    pub request_headers: Option<&'a HeaderMap>,
    pub response_headers: Option<&'a HeaderMap>,
    /// What is known of the request beyond that.
    pub vars: &'a dyn Vars,
}

/// How long the phases of a request took. A phase that was not reached is left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Timings {
    /// From the header's end to the filters' end.
    pub filters: Option<Millis>,
    /// From there to a connection to an endpoint, over all attempts.
    pub connect: Option<Millis>,
    /// From there to the head of the endpoint's response.
    pub first_byte: Option<Millis>,
    /// From the header's end to the response's last byte.
    pub total: Millis,
}

/// A duration that is written as milliseconds with three decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Millis(pub Duration);

impl Millis {
    /// The time from one moment to another; `None` where one of them never came.
    pub(crate) fn between(from: Option<Instant>, to: Option<Instant>) -> Option<Self> {
        Some(Self(to?.saturating_duration_since(from?)))
    }
}

/// What the log tells of one connection, or one flow of datagrams, that was passed on. What is empty is left out.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ConnectionLine<'a> {
    pub began: SystemTime,
    pub client: Option<IpAddr>,
    pub listener: &'a str,
    /// `TCP` or `UDP`.
    pub protocol: &'a str,
    /// The server name (SNI) that the client asked for, where that was looked at.
    pub server_name: Option<&'a str>,
    pub pool: Option<&'a str>,
    pub endpoint: Option<&'a EndpointAddr>,
    pub attempts: usize,
    pub bytes_in: u64,
    pub bytes_out: u64,
    pub datagrams_in: Option<u64>,
    pub datagrams_out: Option<u64>,
    /// How it ended, or why it never began.
    pub ended: &'a str,
    /// Who ended it first: `client`, `endpoint` or `edge`.
    pub closed_by: &'a str,
    pub ms: ConnectionTimings,
}

/// How long the phases of a connection took. A phase that was not reached is left out.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ConnectionTimings {
    /// From the client's connection to one to an endpoint, over all attempts.
    pub connect: Option<Millis>,
    /// From there to the endpoint's first byte.
    pub first_byte: Option<Millis>,
    /// From the client's connection to its end.
    pub total: Millis,
}

/// The version that a request was read in, as lines have it.
pub(crate) fn protocol_word(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// When something began that has taken so long.
pub(crate) fn started(ago: Duration) -> SystemTime {
    SystemTime::now() - ago
}

// === AccessLine ===

impl LogLine for AccessLine<'_> {
    const KIND: LineKind = LineKind::Request;
    const FIELDS: &'static [KnownField] = &[
        F::Time,
        F::RequestId,
        F::TraceId,
        F::SpanId,
        F::Client,
        F::Listener,
        F::Protocol,
        F::Method,
        F::Host,
        F::Target,
        F::Status,
        F::Cause,
        F::GrpcStatus,
        F::RateLimit,
        F::Waf,
        F::Cache,
        F::Route,
        F::Pool,
        F::Endpoint,
        F::Attempts,
        F::BytesIn,
        F::BytesOut,
        F::MsFilters,
        F::MsConnect,
        F::MsFirstByte,
        F::MsTotal,
        F::UserAgent,
        F::Sampled,
    ];

    fn value(&self, field: &LogField) -> LineValue<'_> {
        match field {
            LogField::Known(field) => self.known(*field),
            LogField::Variable(variable) => self.variable(*variable),
            LogField::Named(name) => LineValue::written(|out| self.vars.write_named(name, out)),
            LogField::RequestHeader(name) => header(self.request_headers, name),
            LogField::ResponseHeader(name) => header(self.response_headers, name),
        }
    }
}

impl AccessLine<'_> {
    fn known(&self, field: KnownField) -> LineValue<'_> {
        match field {
            F::Time | F::TimeClf => LineValue::Time(self.began),
            F::RequestId => LineValue::text(self.request_id),
            F::TraceId => LineValue::shown(self.trace_id),
            F::SpanId => LineValue::shown(self.span_id),
            F::Client => self.client.map_or(LineValue::Nothing, LineValue::Client),
            F::Listener => LineValue::word(Some(self.listener)),
            F::Protocol => LineValue::word(Some(self.protocol)),
            F::Method => LineValue::word(Some(self.method)),
            F::Host => LineValue::filled(self.host),
            F::Target => LineValue::url(self.target),
            F::Path => LineValue::url(self.path_and_query().0),
            F::Query => LineValue::url(self.path_and_query().1),
            F::RequestLine => LineValue::request_line(self.method, self.target, self.protocol),
            F::Status => LineValue::Number(self.status.into()),
            F::Cause => LineValue::text(self.cause),
            F::GrpcStatus => LineValue::number(self.grpc_status),
            F::RateLimit => LineValue::word(self.rate_limit),
            F::Waf => self.waf.map_or(LineValue::Nothing, LineValue::Waf),
            F::Cache => LineValue::word(self.cache),
            F::Route => LineValue::word(self.route),
            F::Pool => LineValue::word(self.pool),
            F::Endpoint => self.endpoint.map_or(LineValue::Nothing, LineValue::Endpoint),
            F::Attempts => LineValue::Number(self.attempts as u64),
            F::BytesIn => LineValue::Number(self.bytes_in),
            F::BytesOut => LineValue::Number(self.bytes_out),
            F::BytesOutClf => LineValue::number(Some(self.bytes_out).filter(|bytes| *bytes > 0)),
            F::MsFilters => LineValue::millis(self.ms.filters),
            F::MsConnect => LineValue::millis(self.ms.connect),
            F::MsFirstByte => LineValue::millis(self.ms.first_byte),
            F::MsTotal => LineValue::millis(Some(self.ms.total)),
            F::UserAgent => LineValue::text(self.user_agent),
            F::Sni => self.variable(Variable::Sni),
            // The log itself knows the last one.
            F::DatagramsIn | F::DatagramsOut | F::Ended | F::ClosedBy | F::Sampled => LineValue::Nothing,
        }
    }

    fn variable(&self, variable: Variable) -> LineValue<'_> {
        LineValue::written(|out| self.vars.write(variable, out))
    }

    fn path_and_query(&self) -> (&str, &str) {
        self.target.split_at(self.target.find('?').unwrap_or(self.target.len()))
    }
}

fn header<'a>(headers: Option<&'a HeaderMap>, name: &HeaderName) -> LineValue<'a> {
    let mut values =
        headers.into_iter().flat_map(|headers| headers.get_all(name)).map(|value| value.as_bytes());
    let Some(first) = values.next() else { return LineValue::Nothing };
    let Some(second) = values.next() else { return LineValue::Url(first.into()) };
    let mut all = [first, second].join(&b", "[..]);
    for value in values {
        all.extend_from_slice(b", ");
        all.extend_from_slice(value);
    }
    LineValue::Url(all.into())
}

// === ConnectionLine ===

impl LogLine for ConnectionLine<'_> {
    const KIND: LineKind = LineKind::Connection;
    const FIELDS: &'static [KnownField] = &[
        F::Time,
        F::Client,
        F::Listener,
        F::Protocol,
        F::Sni,
        F::Pool,
        F::Endpoint,
        F::Attempts,
        F::BytesIn,
        F::BytesOut,
        F::DatagramsIn,
        F::DatagramsOut,
        F::Ended,
        F::ClosedBy,
        F::MsConnect,
        F::MsFirstByte,
        F::MsTotal,
        F::Sampled,
    ];

    fn value(&self, field: &LogField) -> LineValue<'_> {
        let LogField::Known(field) = field else { return LineValue::Nothing };
        match field {
            F::Time | F::TimeClf => LineValue::Time(self.began),
            F::Client => self.client.map_or(LineValue::Nothing, LineValue::Client),
            F::Listener => LineValue::word(Some(self.listener)),
            F::Protocol => LineValue::word(Some(self.protocol)),
            F::Sni => LineValue::text(self.server_name),
            F::Pool => LineValue::word(self.pool),
            F::Endpoint => self.endpoint.map_or(LineValue::Nothing, LineValue::Endpoint),
            F::Attempts => LineValue::Number(self.attempts as u64),
            F::BytesIn => LineValue::Number(self.bytes_in),
            F::BytesOut => LineValue::Number(self.bytes_out),
            F::BytesOutClf => LineValue::number(Some(self.bytes_out).filter(|bytes| *bytes > 0)),
            F::DatagramsIn => LineValue::number(self.datagrams_in),
            F::DatagramsOut => LineValue::number(self.datagrams_out),
            F::Ended => LineValue::filled(self.ended),
            F::ClosedBy => LineValue::word(Some(self.closed_by)),
            F::MsConnect => LineValue::millis(self.ms.connect),
            F::MsFirstByte => LineValue::millis(self.ms.first_byte),
            F::MsTotal => LineValue::millis(Some(self.ms.total)),
            _ => LineValue::Nothing,
        }
    }
}
