use std::io;

use pingora_core::{Error, ErrorSource, ErrorType};

use crate::runtime::Cause;

/// What a failure inside of Pingora means, where nothing of ours has said so already.
pub(super) fn cause_of(error: &Error) -> Cause {
    match error.esource() {
        ErrorSource::Upstream => upstream(error.etype()),
        ErrorSource::Downstream => downstream(error),
        ErrorSource::Internal | ErrorSource::Unset => Cause::Internal,
    }
}

fn upstream(kind: &ErrorType) -> Cause {
    match kind {
        ErrorType::ConnectTimedout | ErrorType::TLSHandshakeTimedout => Cause::ConnectTimeout,
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => Cause::ResponseTimeout,
        ErrorType::ReadError | ErrorType::WriteError | ErrorType::ConnectionClosed => Cause::UpstreamClosed,
        ErrorType::InvalidHTTPHeader | ErrorType::H1Error | ErrorType::H2Error | ErrorType::InvalidH2 => {
            Cause::UpstreamInvalid
        }
        // Broken chunks, and whatever else Pingora has a word of its own for.
        ErrorType::Custom(_) => Cause::UpstreamInvalid,
        _ => Cause::ConnectFailed,
    }
}

fn downstream(error: &Error) -> Cause {
    match error.etype() {
        ErrorType::ReadTimedout => Cause::BodyTimeout,
        ErrorType::InvalidHTTPHeader => Cause::BadRequest,
        ErrorType::ReadError if is_broken_coding(error) => Cause::BadRequest,
        _ => Cause::ClientGone,
    }
}

/// The edge reads bodies strictly and says so by this kind of I/O error.
fn is_broken_coding(error: &Error) -> bool {
    let io = error.root_cause().downcast_ref::<io::Error>();
    io.is_some_and(|io| io.kind() == io::ErrorKind::InvalidData)
}
