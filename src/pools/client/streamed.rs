use std::time::Duration;

use bytes::Bytes;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{Uri, Version};
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};

use crate::hooks::FetchError;
use crate::pools::Endpoint;
use crate::pools::failure::is_gone;

use super::message::connection_fields;
use super::sending::{Sending, Stop, release};
use super::{MOST_REPEATS, connector};

/// An answer whose body is read piece by piece. Dropped before its end, its exchange is given up: over HTTP/1 with the
/// connection, over HTTP/2 by a reset.
pub(crate) struct Streamed {
    pub(crate) head: ResponseHeader,
    connector: &'static Connector,
    session: HttpSession,
    peer: HttpPeer,
}

/// How long the steps of an attempt may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamedLimits {
    /// To connect, and for a TLS handshake.
    pub(crate) connect: Option<Duration>,
    /// For both together.
    pub(crate) handshake: Option<Duration>,
    /// To the head of the answer.
    pub(crate) first_byte: Duration,
}

/// Why an endpoint gave no head of an answer.
#[derive(Debug)]
pub(crate) struct Unanswered {
    pub(crate) error: Box<Error>,
    /// Whether there was not even a connection.
    pub(crate) is_connect: bool,
}

/// Sends a client's request, which has no body and may be sent twice, over a connection that requests of the edge's own
/// share, and reads the head of its answer.
pub(crate) async fn send_streamed(
    endpoint: &Endpoint,
    request: &RequestHeader,
    limits: StreamedLimits,
) -> Result<Streamed, Unanswered> {
    let made = connector().await;
    let connector = made.map_err(|error| ours(ErrorType::InternalError, &error))?;
    let mut peer = endpoint.peer().clone();
    peer.options.connection_timeout = limits.connect;
    peer.options.total_connection_timeout = limits.handshake;
    let (first_byte, idle) = (limits.first_byte, endpoint.pool().timeouts.idle.get());
    let sending = Sending { connector, endpoint, peer: &peer, first_byte, idle };
    let mut repeats = 0;
    loop {
        let stop = match sending.begin(|is_h2| head(request, endpoint, is_h2), &Bytes::new()).await {
            Ok((mut session, head)) => {
                session.set_read_timeout(Some(idle));
                return Ok(Streamed { head, connector, session, peer });
            }
            Err(stop) => stop,
        };
        let (unanswered, is_untouched) = judge(&sending, stop);
        if !is_untouched || repeats == MOST_REPEATS {
            return Err(unanswered);
        }
        repeats += 1;
    }
}

impl Streamed {
    /// The next piece of the body; after the last one the connection is kept.
    pub(crate) async fn piece(&mut self) -> Result<Option<Bytes>, Box<Error>> {
        if let Some(piece) = self.session.read_response_body().await? {
            return Ok(Some(piece));
        }
        if let HttpSession::H2(h2) = &mut self.session {
            // A stream that was reset ends too.
            h2.check_response_end_or_error()?;
        }
        Ok(None)
    }

    pub(crate) fn is_h2(&self) -> bool {
        matches!(self.session, HttpSession::H2(_))
    }

    /// Gives the connection back, after the last piece.
    pub(crate) fn release(self) {
        release(self.connector, self.session, self.peer);
    }
}

/// What came of it, and whether the endpoint may be asked again.
fn judge(sending: &Sending<'_>, stop: Stop) -> (Unanswered, bool) {
    match stop {
        Stop::NoConnection(error) => {
            let is_untouched = is_gone(&error);
            (Unanswered { error: error.into_up(), is_connect: true }, is_untouched)
        }
        Stop::WrongVersion => {
            let error = Error::explain(ErrorType::TLSHandshakeFailure, "HTTP/2 was not chosen");
            (Unanswered { error: error.into_up(), is_connect: true }, false)
        }
        Stop::Unsendable(error) => (ours(ErrorType::InternalError, &error), false),
        Stop::NoAnswer { error, is_reused } => {
            let is_untouched = sending.may_repeat(&error, is_reused, true);
            (Unanswered { error: error.into_up(), is_connect: false }, is_untouched)
        }
    }
}

fn ours(kind: ErrorType, error: &FetchError) -> Unanswered {
    Unanswered { error: Error::explain(kind, error.to_string()), is_connect: true }
}

/// The head as the endpoint's version has it, of one for HTTP/1.
fn head(request: &RequestHeader, endpoint: &Endpoint, is_h2: bool) -> Result<Box<RequestHeader>, FetchError> {
    let mut head = Box::new(request.clone());
    if !is_h2 {
        return Ok(head);
    }
    let unsendable = |why: &str| FetchError::Unsendable(why.to_owned());
    let authority = head.remove_header(&HOST);
    let authority = authority.and_then(|host| Authority::try_from(host.as_bytes()).ok());
    let scheme = if endpoint.pool().tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP };
    let uri = Uri::builder().scheme(scheme).authority(authority.ok_or_else(|| unsendable("its `Host`"))?);
    let target = request.uri.path_and_query().ok_or_else(|| unsendable("its target"))?;
    let uri = uri.path_and_query(target.clone()).build();
    for name in connection_fields(&head.headers) {
        head.remove_header(&name);
    }
    head.set_uri(uri.map_err(|error| unsendable(&error.to_string()))?);
    head.set_version(Version::HTTP_2);
    Ok(head)
}
