//! What Pingora's errors tell of a connection to an endpoint.

use pingora_core::protocols::http::v2::client::PING_TIMEDOUT;
use pingora_core::{Error, ErrorType};

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
