use std::borrow::Cow;

use http::StatusCode;

use crate::pools::{Fault, Unreserved};

/// Why the edge answered a request by itself with an error: the one table from cause to status, words and
/// `Proxy-Status` (RFC 9209).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Cause {
    /// The request breaks HTTP, or could be read in two ways.
    BadRequest,
    /// The header did not end within its time.
    HeaderTimeout,
    /// The header is larger than allowed, or has too many fields.
    HeaderTooLarge,
    /// The request line is longer than allowed.
    TargetTooLong,
    /// A method that is never served.
    MethodRefused,
    /// An `Expect` other than 100-continue.
    ExpectationFailed,
    /// A version of HTTP that is not spoken here.
    VersionRefused,
    /// The body is longer than allowed.
    BodyTooLarge,
    /// The body paused for too long or came too slowly.
    BodyTimeout,
    /// An HTTP/2 client sent more frames that ask for nothing than are borne, so that its connection was closed.
    Http2Abuse,
    /// The client was gone before its answer was.
    ClientGone,
    /// The host asks for other clients' certificates than the connection's handshake did (RFC 9110 §15.5.20).
    Misdirected,
    /// No route matches.
    NoRoute,
    /// There is no such file, or none that may be served.
    NoFile,
    /// A file cannot be read.
    FileUnreadable,
    /// A file could not be had in time.
    FileTimeout,
    /// The body of an answer made at the edge could not go on.
    AnswerBroken,
    /// No endpoint of the pool is fit.
    NoEndpointFit,
    /// All fit endpoints have as many requests as they may, and as many wait as may.
    QueueFull,
    /// No endpoint had room in time.
    QueueTimeout,
    /// No connection could be made.
    ConnectFailed,
    /// No connection could be made in time.
    ConnectTimeout,
    /// No TLS handshake could be done with the endpoint.
    TlsFailed(TlsFault),
    /// The client asks for a WebSocket, and the endpoints speak HTTP/2 alone.
    UpgradeUnsupported,
    /// The endpoint did not answer in time.
    ResponseTimeout,
    /// All that the request was given is used up.
    TotalTimeout,
    /// The endpoint closed the connection before or within its answer.
    UpstreamClosed,
    /// The endpoint's answer breaks HTTP.
    UpstreamInvalid,
    /// The status of the endpoint's answer was one to retry on, and the retry found no endpoint.
    UpstreamStatus,
    /// The endpoint switched protocols without being asked.
    UnexpectedUpgrade,
    /// A filter refused the request, with its own status and word.
    Rejected(StatusCode, Cow<'static, str>),
    /// A hook failed, with its own status and word.
    HookFailed(StatusCode, &'static str),
    /// A hook panicked.
    HookPanicked,
    /// The process ends, and has no more time for the request.
    Cut,
    /// The client wants a stored answer or none, and there is none.
    NotCached,
    /// Something that should not happen.
    Internal,
}

/// What a handshake failed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsFault {
    /// The endpoint's certificate is not one that it may show.
    Certificate,
    /// Anything else: versions, protocols, our own certificate.
    Protocol,
}

/// A row of the table.
struct Row {
    status: u16,
    word: &'static str,
    text: &'static str,
    /// The error type of RFC 9209 §2.3, where the edge or what is behind it is the culprit.
    proxy_error: Option<&'static str>,
}

const fn row(status: u16, word: &'static str, text: &'static str, proxy_error: Option<&'static str>) -> Row {
    Row { status, word, text, proxy_error }
}

impl Cause {
    /// The words by which requests are counted: that of each row, and one for all that hooks make up.
    pub(crate) const WORDS: [&'static str; 36] = [
        "bad_request",
        "header_timeout",
        "header_too_large",
        "target_too_long",
        "method_refused",
        "expectation_failed",
        "version_refused",
        "body_too_large",
        "body_timeout",
        "http2_abuse",
        "client_gone",
        "misdirected",
        "no_route",
        "no_file",
        "file_unreadable",
        "file_timeout",
        "answer_broken",
        "no_endpoint_fit",
        "queue_full",
        "queue_timeout",
        "connect_failed",
        "connect_timeout",
        "tls_failed",
        "upgrade_unsupported",
        "response_timeout",
        "total_timeout",
        "upstream_closed",
        "upstream_invalid",
        "upstream_status",
        "unexpected_upgrade",
        "rejected",
        "hook_failed",
        "hook_panicked",
        "cut",
        "not_cached",
        "internal",
    ];

    /// Where it is counted, as an index of [`WORDS`](Self::WORDS).
    pub(crate) fn index(&self) -> usize {
        let word = match self {
            Self::HookFailed(..) => "hook_failed",
            _ => self.row().word,
        };
        // Errors are seldom, and a test finds every row in the list.
        Self::WORDS.iter().position(|known| *known == word).unwrap_or(Self::WORDS.len() - 1)
    }

    #[rustfmt::skip]
    fn row(&self) -> Row {
        match self {
            Self::BadRequest => row(400, "bad_request", "the request is malformed or ambiguous", Some("http_request_error")),
            Self::HeaderTimeout => row(408, "header_timeout", "the request header did not arrive in time", Some("http_request_error")),
            Self::HeaderTooLarge => row(431, "header_too_large", "the request header is too large", Some("http_request_error")),
            Self::TargetTooLong => row(414, "target_too_long", "the request target is too long", Some("http_request_error")),
            Self::MethodRefused => row(405, "method_refused", "the method is not served here", Some("http_request_denied")),
            Self::ExpectationFailed => row(417, "expectation_failed", "the expectation cannot be met", Some("http_request_error")),
            Self::VersionRefused => row(505, "version_refused", "the version of HTTP is not spoken here", Some("http_request_error")),
            Self::BodyTooLarge => row(413, "body_too_large", "the request body is too large", Some("http_request_error")),
            Self::BodyTimeout => row(408, "body_timeout", "the request body did not arrive in time", Some("http_request_error")),
            Self::Http2Abuse => row(429, "http2_abuse", "the connection asked too much for nothing", Some("http_request_error")),
            Self::ClientGone => row(499, "client_gone", "the client closed the connection", None),
            Self::Misdirected => row(421, "misdirected", "this host is not served on this connection", Some("http_request_denied")),
            Self::NoRoute => row(404, "no_route", "nothing is served at this address", Some("destination_not_found")),
            Self::NoFile => row(404, "no_file", "nothing is served at this address", Some("destination_not_found")),
            Self::FileUnreadable => row(500, "file_unreadable", "the request could not be handled", Some("proxy_internal_error")),
            Self::FileTimeout => row(504, "file_timeout", "the request could not be handled in time", Some("proxy_internal_error")),
            Self::AnswerBroken => row(500, "answer_broken", "the request could not be handled", Some("proxy_internal_error")),
            Self::NoEndpointFit => row(503, "no_endpoint_fit", "no endpoint is fit to serve the request", Some("destination_unavailable")),
            Self::QueueFull => row(503, "queue_full", "too many requests wait for an endpoint", Some("connection_limit_reached")),
            Self::QueueTimeout => row(503, "queue_timeout", "no endpoint had room in time", Some("connection_limit_reached")),
            Self::ConnectFailed => row(502, "connect_failed", "the endpoint could not be reached", Some("connection_refused")),
            Self::ConnectTimeout => row(504, "connect_timeout", "the endpoint could not be reached in time", Some("connection_timeout")),
            Self::TlsFailed(TlsFault::Certificate) => row(502, "tls_failed", "the endpoint could not be reached safely", Some("tls_certificate_error")),
            Self::TlsFailed(TlsFault::Protocol) => row(502, "tls_failed", "the endpoint could not be reached safely", Some("tls_protocol_error")),
            Self::UpgradeUnsupported => row(501, "upgrade_unsupported", "no upgrade is possible here", Some("http_upgrade_failed")),
            Self::ResponseTimeout => row(504, "response_timeout", "the endpoint did not answer in time", Some("http_response_timeout")),
            Self::TotalTimeout => row(504, "total_timeout", "the request took longer than it may", Some("http_response_timeout")),
            Self::UpstreamClosed => row(502, "upstream_closed", "the endpoint closed the connection", Some("connection_terminated")),
            Self::UpstreamInvalid => row(502, "upstream_invalid", "the endpoint's answer is malformed", Some("http_protocol_error")),
            Self::UpstreamStatus => row(502, "upstream_status", "the endpoints could not serve the request", Some("destination_unavailable")),
            Self::UnexpectedUpgrade => row(502, "unexpected_upgrade", "the endpoint switched protocols unasked", Some("http_upgrade_failed")),
            Self::Rejected(status, _) => row(status.as_u16(), "rejected", "the request was refused", Some("http_request_denied")),
            Self::HookFailed(status, word) => row(status.as_u16(), word, "the request could not be handled", Some("proxy_internal_error")),
            Self::HookPanicked => row(500, "hook_panicked", "the request could not be handled", Some("proxy_internal_error")),
            Self::Cut => row(503, "cut", "the server is about to end", Some("connection_terminated")),
            Self::NotCached => row(504, "not_cached", "no stored answer is there", None),
            Self::Internal => row(500, "internal", "the request could not be handled", Some("proxy_internal_error")),
        }
    }

    /// The status that the client gets; 499 is never sent, only logged.
    pub(crate) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Whether the client did not keep to HTTP or to the limits, so that its connection is closed.
    pub(crate) fn breaks_http(&self) -> bool {
        matches!(
            self,
            Self::BadRequest
                | Self::HeaderTimeout
                | Self::HeaderTooLarge
                | Self::TargetTooLong
                | Self::VersionRefused
                | Self::BodyTooLarge
                | Self::BodyTimeout
        )
    }

    /// Whether the same request may well succeed in a moment.
    pub(crate) fn passes_soon(&self) -> bool {
        matches!(self, Self::QueueFull | Self::QueueTimeout)
    }

    /// The stable word for logs and bodies.
    pub(crate) fn word(&self) -> &str {
        match self {
            Self::Rejected(_, word) => word,
            _ => self.row().word,
        }
    }

    /// What the client is told.
    pub(crate) fn text(&self) -> &'static str {
        self.row().text
    }

    /// The error type for `Proxy-Status`.
    pub(crate) fn proxy_error(&self) -> Option<&'static str> {
        self.row().proxy_error
    }
}

impl From<Unreserved> for Cause {
    fn from(why: Unreserved) -> Self {
        match why {
            Unreserved::NobodyFit => Self::NoEndpointFit,
            Unreserved::QueueFull => Self::QueueFull,
            Unreserved::QueueTimedOut => Self::QueueTimeout,
            Unreserved::OutOfTime => Self::TotalTimeout,
            Unreserved::PolicyFailed => Self::HookPanicked,
        }
    }
}

/// What a cause for which an endpoint is to blame counts as there.
impl From<&Cause> for Fault {
    fn from(cause: &Cause) -> Self {
        match cause {
            Cause::ConnectFailed => Self::ConnectFailed,
            Cause::ConnectTimeout => Self::ConnectTimeout,
            Cause::TlsFailed(_) => Self::TlsFailed,
            Cause::ResponseTimeout => Self::ResponseTimeout,
            Cause::TotalTimeout => Self::TotalTimeout,
            Cause::UpstreamClosed => Self::UpstreamClosed,
            Cause::UpstreamStatus => Self::UpstreamStatus,
            Cause::UnexpectedUpgrade => Self::UnexpectedUpgrade,
            // What else an endpoint can do wrong is wrong by HTTP; of the others none is to blame.
            Cause::UpstreamInvalid
            | Cause::BadRequest
            | Cause::HeaderTimeout
            | Cause::HeaderTooLarge
            | Cause::TargetTooLong
            | Cause::MethodRefused
            | Cause::ExpectationFailed
            | Cause::VersionRefused
            | Cause::BodyTooLarge
            | Cause::BodyTimeout
            | Cause::Http2Abuse
            | Cause::ClientGone
            | Cause::Misdirected
            | Cause::NoRoute
            | Cause::NoFile
            | Cause::FileUnreadable
            | Cause::FileTimeout
            | Cause::AnswerBroken
            | Cause::NoEndpointFit
            | Cause::QueueFull
            | Cause::QueueTimeout
            | Cause::UpgradeUnsupported
            | Cause::Rejected(..)
            | Cause::HookFailed(..)
            | Cause::HookPanicked
            | Cause::Cut
            | Cause::NotCached
            | Cause::Internal => Self::UpstreamInvalid,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_has_a_place_among_the_words() {
        let rows = include_str!("cause.rs").lines().filter(|line| line.trim_start().starts_with("Self::"));
        let rows = rows.filter_map(|line| line.split_once("row(")?.1.split_once(", "));
        let words = rows.filter_map(|(_, word)| word.strip_prefix('"')?.split('"').next());
        let mut words: Vec<_> = words.chain(["hook_failed"]).collect();
        words.sort_unstable();
        words.dedup();
        let mut known = Cause::WORDS;
        known.sort_unstable();
        assert_eq!(known.as_slice(), words);
        assert_eq!(Cause::WORDS[Cause::Internal.index()], "internal");
    }

    #[test]
    fn a_fault_of_an_endpoint_has_the_word_of_its_cause() {
        let causes = [
            Cause::ConnectFailed,
            Cause::ConnectTimeout,
            Cause::TlsFailed(TlsFault::Protocol),
            Cause::ResponseTimeout,
            Cause::TotalTimeout,
            Cause::UpstreamClosed,
            Cause::UpstreamInvalid,
            Cause::UpstreamStatus,
            Cause::UnexpectedUpgrade,
        ];
        let words = causes.each_ref().map(|cause| Fault::WORDS[Fault::from(cause) as usize]);
        assert_eq!(words, causes.each_ref().map(Cause::word));
        assert_eq!(words, Fault::WORDS);
    }
}
