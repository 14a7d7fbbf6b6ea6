use std::io;

use pingora_core::{Error, ErrorSource, ErrorType};

use crate::pools::{Fault, fault_of};
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
    match fault_of(error) {
        Fault::ConnectFailed => Cause::ConnectFailed,
        Fault::ConnectTimeout => Cause::ConnectTimeout,
        Fault::TlsFailed => Cause::TlsFailed(tls_fault(error)),
        Fault::ResponseTimeout => Cause::ResponseTimeout,
        Fault::TotalTimeout => Cause::TotalTimeout,
        Fault::UpstreamClosed => Cause::UpstreamClosed,
        Fault::UpstreamInvalid => Cause::UpstreamInvalid,
        Fault::UpstreamStatus => Cause::UpstreamStatus,
        Fault::UnexpectedUpgrade => Cause::UnexpectedUpgrade,
    }
}

/// Pingora hands rustls' errors on as text.
fn tls_fault(error: &Error) -> TlsFault {
    let context = error.context.as_ref().map_or("", |context| context.as_str());
    if context.contains("invalid peer certificate") { TlsFault::Certificate } else { TlsFault::Protocol }
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
