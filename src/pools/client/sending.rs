use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt;
use http::StatusCode;
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};

use crate::config::spec::UpstreamProtocol;
use crate::hooks::FetchError;
use crate::pools::Endpoint;
use crate::pools::failure::{UNEXPECTED_UPGRADE, is_break, is_ended_politely, is_refused_stream};

/// Informational answers before the final one, at most.
const MOST_INFORMATIONAL: usize = 16;

/// A request that is sent to one endpoint, up to the head of its answer.
pub(super) struct Sending<'a> {
    pub(super) connector: &'static Connector,
    pub(super) endpoint: &'a Endpoint,
    pub(super) peer: &'a HttpPeer,
    /// To the head of the answer.
    pub(super) first_byte: Duration,
    /// For each write.
    pub(super) idle: Duration,
}

/// Why there is no head of an answer.
#[derive(Debug)]
pub(super) enum Stop {
    NoConnection(Box<Error>),
    /// The endpoint does not speak the version that its pool is meant for.
    WrongVersion,
    Unsendable(FetchError),
    NoAnswer {
        error: Box<Error>,
        /// Whether the connection was a kept one.
        is_reused: bool,
    },
}

impl Sending<'_> {
    /// Sends the request, and reads the head of its answer.
    pub(super) async fn begin(
        &self,
        make_head: impl FnOnce(bool) -> Result<Box<RequestHeader>, FetchError>,
        body: &Bytes,
    ) -> Result<(HttpSession, ResponseHeader), Stop> {
        let connected = self.connector.get_http_session(self.peer).await;
        let (mut session, is_reused) = connected.map_err(Stop::NoConnection)?;
        if !is_reused {
            self.endpoint.note_connection();
        }
        let is_h2 = matches!(session, HttpSession::H2(_));
        self.check_version(is_h2)?;
        session.set_write_timeout(Some(self.idle));
        session.set_read_timeout(Some(self.first_byte));
        let head = make_head(is_h2).map_err(Stop::Unsendable)?;
        let answered = exchange(&mut session, head, body, |bytes| self.endpoint.note_sent(bytes)).await;
        let head = answered.map_err(|error| Stop::NoAnswer { error, is_reused })?;
        Ok((session, head))
    }

    /// Notes what an endpoint chose that may choose, and refuses one that may not.
    fn check_version(&self, is_h2: bool) -> Result<(), Stop> {
        match self.endpoint.pool().protocol {
            UpstreamProtocol::Auto => self.endpoint.note_version(is_h2),
            UpstreamProtocol::H2 | UpstreamProtocol::H2c if !is_h2 => return Err(Stop::WrongVersion),
            _ => {}
        }
        Ok(())
    }

    /// Whether the request may be sent to the endpoint again, which has not looked at it.
    pub(super) fn may_repeat(&self, error: &Error, is_reused: bool, may_be_served_twice: bool) -> bool {
        let is_auto = self.endpoint.pool().protocol == UpstreamProtocol::Auto;
        let is_downgrade = *error.etype() == ErrorType::H2Downgrade && is_auto;
        if is_downgrade {
            self.connector.prefer_h1(self.peer);
        }
        let is_stale = is_reused && is_break(error) && may_be_served_twice;
        is_stale || is_downgrade || is_ended_politely(error) || is_refused_stream(error)
    }
}

/// Sends a request, and reads the head of its answer. The bytes of the body are told once they are written.
pub(super) async fn exchange(
    session: &mut HttpSession,
    head: Box<RequestHeader>,
    body: &Bytes,
    note_sent: impl FnOnce(u64),
) -> pingora_core::Result<ResponseHeader> {
    match &mut *session {
        HttpSession::H2(h2) => h2.write_request_header(head, body.is_empty())?,
        other => other.write_request_header(head).await?,
    }
    let mut sent = Ok(());
    if !body.is_empty() {
        sent = session.write_request_body(body.clone(), true).await;
    }
    if sent.is_ok() {
        note_sent(body.len() as u64);
        sent = session.finish_request_body().await;
    }
    // An endpoint may answer without having read all; then its answer counts.
    let answered = final_head(session).await;
    answered.map_err(|error| sent.err().unwrap_or(error))
}

/// Reads to the header that is not merely informational (RFC 9110 §15.2).
async fn final_head(session: &mut HttpSession) -> pingora_core::Result<ResponseHeader> {
    let unwanted = |what| Err(Error::explain(ErrorType::InvalidHTTPHeader, what));
    let switched = || Err(Error::explain(UNEXPECTED_UPGRADE, "an upgrade that nobody asked for"));
    for _ in 0..=MOST_INFORMATIONAL {
        session.read_response_header().await?;
        match session.response_header() {
            Some(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                return switched();
            }
            Some(head) if !head.status.is_informational() => return Ok(head.clone()),
            // Of HTTP/2, Pingora reads one header.
            _ if matches!(session, HttpSession::H2(_)) => return unwanted("no final answer"),
            _ => {}
        }
    }
    unwanted("too many informational answers")
}

/// Gives a connection back whose answer was read to its end.
pub(super) fn release(connector: &'static Connector, session: HttpSession, peer: HttpPeer) {
    let idle = peer.options.idle_timeout;
    let mut releasing = Box::pin(async move { connector.release_http_session(session, &peer, idle).await });
    // One that is kept is so at once. One that is closed takes a moment, which the answer need not wait for.
    if (&mut releasing).now_or_never().is_none() {
        tokio::spawn(releasing);
    }
}
