use std::time::Duration;

use http::StatusCode;

/// What became of a request.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct End<'a> {
    /// The status that the client was sent; `None` where it was sent no answer.
    pub status: Option<StatusCode>,
    /// Why the edge answered in the place of an endpoint, or cut the answer off: the word that the access log has.
    pub cause: Option<&'a str>,
    /// From the request's header to its end.
    pub total: Duration,
    /// From the request's header to the head of an endpoint's answer.
    pub first_byte: Option<Duration>,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
}
