use pingora_core::{Error, ErrorType};

/// The connection was made, and what came back on it is not what it should be.
const UNHEALTHY: ErrorType = ErrorType::new("Unhealthy");

/// ICMP reported that nobody has the port that a datagram was sent to.
pub(super) const PORT_UNREACHABLE: ErrorType = ErrorType::new("PortUnreachable");

/// Longer reasons are cut; an endpoint decides what stands in some of them.
const LONGEST_REASON: usize = 200;

/// A failed probe whose reason is told in these words.
pub(super) fn unhealthy(reason: impl Into<String>) -> Box<Error> {
    Error::explain(UNHEALTHY, reason.into())
}

/// Why a probe failed, in a few words: `connection refused`, `503 Service Unavailable`.
pub(super) fn reason(error: &Error) -> String {
    let reason = match error.root_etype() {
        ErrorType::ConnectRefused => "connection refused".to_owned(),
        &PORT_UNREACHABLE => "the port is closed (ICMP: port unreachable)".to_owned(),
        ErrorType::ConnectNoRoute => "no route to the host".to_owned(),
        ErrorType::ConnectionClosed => "the connection was closed before the answer was complete".to_owned(),
        _ => match (&error.cause, &error.context) {
            (None, Some(context)) => context.as_str().to_owned(),
            _ => error.root_cause().to_string(),
        },
    };
    match reason.char_indices().nth(LONGEST_REASON) {
        Some((end, _)) => format!("{}…", &reason[..end]),
        None => reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_short_whatever_an_endpoint_sends() {
        assert_eq!(reason(&unhealthy("503 Service Unavailable")), "503 Service Unavailable");
        let long = reason(&unhealthy("é".repeat(10_000)));
        assert_eq!(long.chars().count(), LONGEST_REASON + 1);
    }

    #[test]
    fn the_innermost_cause_is_told() {
        let cause = std::io::Error::other("out of luck");
        let error = Error::because(ErrorType::ReadError, "while reading", cause);
        assert_eq!(reason(&error.more_context("of a probe")), "out of luck");
    }
}
