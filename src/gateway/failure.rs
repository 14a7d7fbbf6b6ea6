use std::io;

use pingora_core::protocols::http::v2::client::PING_TIMEDOUT;
use pingora_core::{Error, ErrorSource, ErrorType};

use crate::runtime::{ANSWERED, BrokenOff, Cause, TlsFault};

/// What a failure inside of Pingora means, where nothing of ours has said so already.
pub(super) fn cause_of(error: &Error) -> Cause {
    match error.esource() {
        ErrorSource::Upstream => upstream(error),
        ErrorSource::Downstream => downstream(error),
        ErrorSource::Internal | ErrorSource::Unset => Cause::Internal,
    }
}

/// Whether the error is none: the client, which speaks HTTP/2, has its whole answer, and what is left of its request is
/// of no interest.
pub(super) fn is_after_answer(error: &Error) -> bool {
    *error.etype() == ErrorType::new(ANSWERED)
}

fn upstream(error: &Error) -> Cause {
    match error.etype() {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Cause::ConnectTimeout,
        ErrorType::TLSHandshakeFailure | ErrorType::InvalidCert => Cause::TlsFailed(tls_fault(error)),
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Cause::ResponseTimeout,
        // With TLS 1.3 an endpoint refuses our certificate only when the handshake is done.
        _ if is_alert(error) => Cause::TlsFailed(TlsFault::Protocol),
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => Cause::UpstreamClosed,
        ErrorType::H2Error if is_broken_off(error) => Cause::UpstreamClosed,
        kind if *kind == PING_TIMEDOUT => Cause::UpstreamClosed,
        ErrorType::InvalidHTTPHeader
        | ErrorType::H1Error
        | ErrorType::H2Error
        | ErrorType::H2Downgrade
        | ErrorType::InvalidH2 => Cause::UpstreamInvalid,
        // Broken chunks, and whatever else Pingora has a word of its own for.
        ErrorType::Custom(_) => Cause::UpstreamInvalid,
        _ => Cause::ConnectFailed,
    }
}

/// Pingora hands rustls' errors on as text.
fn tls_fault(error: &Error) -> TlsFault {
    let context = error.context.as_ref().map_or("", |context| context.as_str());
    if context.contains("invalid peer certificate") { TlsFault::Certificate } else { TlsFault::Protocol }
}

/// Whether the endpoint ended the connection by an alert; HTTP/2 hands it on as text.
fn is_alert(error: &Error) -> bool {
    error.root_cause().to_string().contains("received fatal alert")
}

/// Whether the endpoint broke the stream or the connection off, by a frame or without one; else it broke HTTP/2.
fn is_broken_off(error: &Error) -> bool {
    let h2 = error.root_cause().downcast_ref::<h2::Error>();
    h2.is_some_and(|h2| h2.is_remote() || h2.is_io())
}

fn downstream(error: &Error) -> Cause {
    match error.etype() {
        _ if is_cut(error) => Cause::Cut,
        ErrorType::ReadTimedout => Cause::BodyTimeout,
        ErrorType::InvalidHTTPHeader => Cause::BadRequest,
        ErrorType::ReadError if is_broken_coding(error) => Cause::BadRequest,
        _ => Cause::ClientGone,
    }
}

/// The end of the process broke the request off.
fn is_cut(error: &Error) -> bool {
    error.root_cause().downcast_ref::<io::Error>().is_some_and(BrokenOff::is)
}

/// The edge reads bodies strictly and says so by this kind of I/O error.
fn is_broken_coding(error: &Error) -> bool {
    let io = error.root_cause().downcast_ref::<io::Error>();
    io.is_some_and(|io| io.kind() == io::ErrorKind::InvalidData)
}
