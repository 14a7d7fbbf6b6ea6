//! What Pingora's errors tell of an endpoint and of the connection to it.

use pingora_core::protocols::http::v2::client::PING_TIMEDOUT;
use pingora_core::{Error, ErrorType};

/// Why an attempt failed at its endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// No connection could be made.
    ConnectFailed,
    /// No connection could be made in time.
    ConnectTimeout,
    /// No TLS handshake could be done.
    TlsFailed,
    /// It did not answer in time.
    ResponseTimeout,
    /// It used up all that the request was given.
    TotalTimeout,
    /// It closed the connection before or within its answer.
    UpstreamClosed,
    /// Its answer breaks HTTP.
    UpstreamInvalid,
    /// Its answer was a status of 500 or more, or one of gRPC that is as bad.
    UpstreamStatus,
    /// It switched protocols without being asked.
    UnexpectedUpgrade,
}

impl Fault {
    /// The words of the access log, in the order of the faults.
    pub(crate) const WORDS: [&'static str; 9] = [
        "connect_failed",
        "connect_timeout",
        "tls_failed",
        "response_timeout",
        "total_timeout",
        "upstream_closed",
        "upstream_invalid",
        "upstream_status",
        "unexpected_upgrade",
    ];
}

/// The kind of the error for an upgrade that nobody asked for, of requests of the edge's own.
pub(super) const UNEXPECTED_UPGRADE: ErrorType = ErrorType::new("UnexpectedUpgrade");

/// What an error of an exchange with an endpoint means.
pub(crate) fn fault_of(error: &Error) -> Fault {
    match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Fault::ConnectTimeout,
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert => Fault::TlsFailed,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Fault::ResponseTimeout,
        // With TLS 1.3 an endpoint refuses our certificate only when the handshake is done.
        _ if is_alert(error) => Fault::TlsFailed,
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => Fault::UpstreamClosed,
        ErrorType::H2Error if is_broken_off(error) => Fault::UpstreamClosed,
        kind if *kind == PING_TIMEDOUT => Fault::UpstreamClosed,
        kind if *kind == UNEXPECTED_UPGRADE => Fault::UnexpectedUpgrade,
        ErrorType::InvalidHTTPHeader
        | ErrorType::H1Error
        | ErrorType::H2Error
        | ErrorType::H2Downgrade
        | ErrorType::InvalidH2 => Fault::UpstreamInvalid,
        // Broken chunks, and whatever else Pingora has a word of its own for.
        ErrorType::Custom(_) => Fault::UpstreamInvalid,
        _ => Fault::ConnectFailed,
    }
}

/// Whether the endpoint ended the connection by an alert; HTTP/2 hands it on as text.
fn is_alert(error: &Error) -> bool {
    error.root_cause().to_string().contains("received fatal alert")
}

/// Whether the endpoint broke the stream or the connection off, by a frame or without one; else it broke HTTP/2.
fn is_broken_off(error: &Error) -> bool {
    h2_error(error).is_some_and(|h2| h2.is_remote() || h2.is_io())
}

/// Whether the connection failed for want of something on this machine: descriptors, ports, memory.
pub(crate) fn is_our_own_fault(error: &Error) -> bool {
    matches!(error.etype(), ErrorType::BindError | ErrorType::SocketError | ErrorType::InternalError)
}

/// Whether the connection broke, which on a kept one means that the endpoint had closed it before the request came.
pub(crate) fn is_break(error: &Error) -> bool {
    let kind = error.etype();
    matches!(kind, ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed)
        || *kind == PING_TIMEDOUT
}

/// Whether a kept connection of HTTP/2 had ended before the request got a stream of it.
pub(crate) fn is_gone(error: &Error) -> bool {
    *error.etype() == ErrorType::H2Error && h2_error(error).is_some_and(|h2| h2.is_io() || h2.is_go_away())
}

/// Whether the endpoint ended a connection of HTTP/2 politely before it began with the request (RFC 9113 §6.8).
pub(crate) fn is_ended_politely(error: &Error) -> bool {
    h2_error(error)
        .is_some_and(|h2| h2.is_go_away() && h2.is_remote() && h2.reason() == Some(h2::Reason::NO_ERROR))
}

/// Whether the endpoint did nothing of the request, whatever its method (RFC 9113 §8.7).
pub(crate) fn is_refused_stream(error: &Error) -> bool {
    h2_error(error).is_some_and(|h2| h2.is_remote() && h2.reason() == Some(h2::Reason::REFUSED_STREAM))
}

fn h2_error(error: &Error) -> Option<&h2::Error> {
    error.root_cause().downcast_ref()
}
