use std::time::Duration;

use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::semantics::{is_event_stream, is_grpc};

use super::Cause;

/// How a call of gRPC ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GrpcStatus(u16);

/// The media type of calls and of their answers.
pub(crate) const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
const GRPC_MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a response goes on for as long as its client listens, by what its head says.
pub(crate) fn is_endless(response: &HeaderMap) -> bool {
    is_event_stream(response) || is_grpc(response) || is_grpc_web(response)
}

fn is_grpc_web(response: &HeaderMap) -> bool {
    const WEB: &[u8] = b"application/grpc-web";
    let media_type = response.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
    media_type.get(..WEB.len()).is_some_and(|start| start.eq_ignore_ascii_case(WEB))
}

impl GrpcStatus {
    pub(crate) const CANCELLED: Self = Self(1);
    pub(crate) const UNKNOWN: Self = Self(2);
    pub(crate) const DEADLINE_EXCEEDED: Self = Self(4);
    pub(crate) const PERMISSION_DENIED: Self = Self(7);
    pub(crate) const RESOURCE_EXHAUSTED: Self = Self(8);
    pub(crate) const UNIMPLEMENTED: Self = Self(12);
    pub(crate) const INTERNAL: Self = Self(13);
    pub(crate) const UNAVAILABLE: Self = Self(14);
    pub(crate) const DATA_LOSS: Self = Self(15);
    pub(crate) const UNAUTHENTICATED: Self = Self(16);

    /// What a client would take an answer of HTTP for by gRPC's own table, but more exact where the edge knows more: what
    /// is too much is RESOURCE_EXHAUSTED, what is too late DEADLINE_EXCEEDED, and a failure of its own INTERNAL.
    pub(crate) fn of_http(status: StatusCode) -> Self {
        match status.as_u16() {
            400 | 417 | 500 | 505 => Self::INTERNAL,
            401 => Self::UNAUTHENTICATED,
            403 => Self::PERMISSION_DENIED,
            404 | 405 | 501 => Self::UNIMPLEMENTED,
            408 | 504 => Self::DEADLINE_EXCEEDED,
            413 | 414 | 429 | 431 => Self::RESOURCE_EXHAUSTED,
            421 | 502 | 503 => Self::UNAVAILABLE,
            499 => Self::CANCELLED,
            _ => Self::UNKNOWN,
        }
    }

    /// The status in trailers, or in the head of an answer that is nothing but trailers. One that is no number of gRPC's is
    /// UNKNOWN.
    pub(crate) fn told_by(trailers: &HeaderMap) -> Option<Self> {
        const LAST: u16 = 16;
        let code = trailers.get(GRPC_STATUS)?.to_str().ok().and_then(|text| text.parse().ok());
        Some(code.filter(|&code| code <= LAST).map_or(Self::UNKNOWN, Self))
    }

    pub(crate) fn code(self) -> u16 {
        self.0
    }

    /// Whether it tells of a failure of the endpoint, as a 5xx does. Not what clients bring about by what they ask for:
    /// RESOURCE_EXHAUSTED is a client's quota or too large a message as often as an endpoint's overload, like 429.
    pub(crate) fn is_failure(self) -> bool {
        [Self::UNKNOWN, Self::DEADLINE_EXCEEDED, Self::INTERNAL, Self::UNAVAILABLE, Self::DATA_LOSS]
            .contains(&self)
    }
}

impl Cause {
    /// The status that a client of gRPC gets.
    pub(crate) fn grpc_status(&self) -> GrpcStatus {
        match self {
            // Nothing was sent, so that the call may well be made again.
            Self::ConnectTimeout => GrpcStatus::UNAVAILABLE,
            _ => GrpcStatus::of_http(self.status()),
        }
    }
}

/// What ends a call that the edge has to end: its status and words, percent-encoded.
pub(crate) fn grpc_trailers(cause: &Cause, request_id: Option<&str>) -> [(HeaderName, HeaderValue); 2] {
    let message = match request_id {
        Some(id) => format!("{} (request id: {id})", cause.text()),
        None => cause.text().to_owned(),
    };
    let message = HeaderValue::try_from(percent_encoded(&message));
    [
        (GRPC_STATUS, HeaderValue::from(cause.grpc_status().code())),
        (GRPC_MESSAGE, message.unwrap_or(HeaderValue::from_static(""))),
    ]
}

/// All but printable ASCII, and `%` itself, as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(char::from(byte)),
            _ => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// Reads a `grpc-timeout`: up to eight digits and a unit. `None` when it is none.
pub(crate) fn parse_timeout(value: &HeaderValue) -> Option<Duration> {
    let (unit, digits) = value.as_bytes().split_last()?;
    if !(1..=8).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let count: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
    match unit {
        b'H' => Some(Duration::from_secs(count * 3600)),
        b'M' => Some(Duration::from_secs(count * 60)),
        b'S' => Some(Duration::from_secs(count)),
        b'm' => Some(Duration::from_millis(count)),
        b'u' => Some(Duration::from_micros(count)),
        b'n' => Some(Duration::from_nanos(count)),
        _ => None,
    }
}

/// Writes a `grpc-timeout`, in the finest unit that has digits enough.
pub(crate) fn timeout_value(timeout: Duration) -> HeaderValue {
    const MOST: u128 = 99_999_999;
    let counts = [(timeout.as_micros(), 'u'), (timeout.as_millis(), 'm'), (timeout.as_secs().into(), 'S')];
    let fitting = counts.into_iter().find(|&(count, _)| count <= MOST);
    let (count, unit) = fitting.unwrap_or((u128::from(timeout.as_secs() / 3600).min(MOST), 'H'));
    // Digits and a letter are legal in every header.
    HeaderValue::try_from(format!("{count}{unit}")).unwrap_or(HeaderValue::from_static("0u"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_have_the_status_that_clients_act_on() {
        for (cause, expected) in [
            (Cause::BadRequest, GrpcStatus::INTERNAL),
            (Cause::NoRoute, GrpcStatus::UNIMPLEMENTED),
            (Cause::BodyTooLarge, GrpcStatus::RESOURCE_EXHAUSTED),
            (Cause::NoEndpointFit, GrpcStatus::UNAVAILABLE),
            (Cause::QueueFull, GrpcStatus::UNAVAILABLE),
            (Cause::ConnectFailed, GrpcStatus::UNAVAILABLE),
            (Cause::ConnectTimeout, GrpcStatus::UNAVAILABLE),
            (Cause::UpstreamClosed, GrpcStatus::UNAVAILABLE),
            (Cause::ResponseTimeout, GrpcStatus::DEADLINE_EXCEEDED),
            (Cause::TotalTimeout, GrpcStatus::DEADLINE_EXCEEDED),
            (Cause::ClientGone, GrpcStatus::CANCELLED),
            (Cause::HookPanicked, GrpcStatus::INTERNAL),
            (Cause::Rejected(StatusCode::UNAUTHORIZED, "no".into()), GrpcStatus::UNAUTHENTICATED),
            (Cause::Rejected(StatusCode::FORBIDDEN, "no".into()), GrpcStatus::PERMISSION_DENIED),
            (Cause::Rejected(StatusCode::TOO_MANY_REQUESTS, "no".into()), GrpcStatus::RESOURCE_EXHAUSTED),
            (Cause::Rejected(StatusCode::IM_A_TEAPOT, "no".into()), GrpcStatus::UNKNOWN),
        ] {
            assert_eq!(cause.grpc_status(), expected, "{cause:?}");
        }
    }

    #[test]
    fn a_status_that_makes_no_sense_is_unknown() {
        for (text, expected) in [("0", 0), ("14", 14), ("17", 2), ("-1", 2), ("ok", 2), ("99999999999", 2)] {
            let trailers = HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static(text))]);
            assert_eq!(GrpcStatus::told_by(&trailers).unwrap().code(), expected, "{text}");
        }
        assert_eq!(GrpcStatus::told_by(&HeaderMap::new()), None);
    }

    #[test]
    fn timeouts_are_read_and_written() {
        for (text, expected) in [
            ("1H", Some(Duration::from_secs(3600))),
            ("2M", Some(Duration::from_secs(120))),
            ("10S", Some(Duration::from_secs(10))),
            ("99999999m", Some(Duration::from_millis(99_999_999))),
            ("5u", Some(Duration::from_micros(5))),
            ("7n", Some(Duration::from_nanos(7))),
            ("123456789m", None),
            ("m", None),
            ("", None),
            ("1", None),
            ("+1S", None),
            ("1.5S", None),
            ("1s", None),
        ] {
            assert_eq!(parse_timeout(&HeaderValue::from_static(text)), expected, "{text}");
        }
        for (timeout, expected) in [
            (Duration::from_millis(1500), "1500000u"),
            (Duration::from_secs(3600), "3600000m"),
            (Duration::from_secs(200_000), "200000S"),
            (Duration::MAX, "99999999H"),
        ] {
            assert_eq!(timeout_value(timeout), expected);
        }
    }

    #[test]
    fn messages_are_plain_ascii() {
        let [(_, status), (_, message)] = grpc_trailers(&Cause::ConnectFailed, Some("100%é"));
        assert_eq!(status, "14");
        assert_eq!(message, "the endpoint could not be reached (request id: 100%25%C3%A9)");
    }
}
