use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::{Instant, timeout_at};

use crate::config::spec::UpstreamProtocol;
use crate::hooks::{FetchError, FetchLimits, Fetched, Larger};
use crate::pools::failure::{is_break, is_ended_politely, is_gone, is_our_own_fault, is_refused_stream};
use crate::pools::proxy_header::{begin_with_header, local_header};
use crate::pools::{Lease, Pool};

use super::message::{Message, strip_connection};

/// Informational answers before the final one, at most.
const MOST_INFORMATIONAL: usize = 16;

/// A request on its way to one endpoint.
pub(super) struct Attempt<'a> {
    pub(super) connector: &'static Connector,
    pub(super) pool: &'a Pool,
    pub(super) lease: &'a Lease,
    pub(super) message: &'a Message,
    pub(super) limits: FetchLimits,
    pub(super) until: Instant,
}

/// Why an attempt came to nothing.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) error: FetchError,
    pub(super) next: Next,
    /// Whether it tells of the endpoint.
    is_the_endpoints: bool,
}

/// Whether there may be another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    Nothing,
    /// At the same endpoint, which has not looked at the request.
    Here,
    /// At another endpoint: nothing was sent.
    Elsewhere,
}

impl Attempt<'_> {
    pub(super) async fn run(&self) -> Result<Fetched, Failure> {
        let began = Instant::now();
        let peer = self.peer(began);
        let (mut session, head) = self.in_time(began, self.begin(&peer)).await?;
        let is_failure = self.note_head(&head, began);
        if size(&head.headers) > self.limits.head {
            return Err(Failure::ours(FetchError::HeadTooLarge(self.limits.head)));
        }
        session.set_read_timeout(Some(self.pool.timeouts().idle.get()));
        let (body, is_whole) = self.in_time(began, self.read_body(&mut session)).await?;
        if !is_failure {
            self.pool.succeeded(self.lease, Instant::now());
        }
        if is_whole {
            self.release(session, peer);
        }
        let (status, mut headers) = (head.status, head.headers.clone());
        strip_connection(&mut headers);
        let endpoint = self.lease.endpoint().address().as_ref().clone();
        Ok(Fetched { status, headers, body, endpoint })
    }

    fn release(&self, session: HttpSession, peer: HttpPeer) {
        let (connector, idle) = (self.connector, peer.options.idle_timeout);
        let mut releasing =
            Box::pin(async move { connector.release_http_session(session, &peer, idle).await });
        // One that is kept is so at once. One that is closed takes a moment, which the answer need not wait for.
        if (&mut releasing).now_or_never().is_none() {
            tokio::spawn(releasing);
        }
    }

    fn peer(&self, now: Instant) -> HttpPeer {
        let endpoint = self.lease.endpoint();
        let mut peer = endpoint.peer().clone();
        let left = self.until.saturating_duration_since(now);
        let shorten = |limit: &mut Option<Duration>| *limit = limit.map(|limit| limit.min(left));
        shorten(&mut peer.options.connection_timeout);
        shorten(&mut peer.options.total_connection_timeout);
        if let Some(header) = local_header(endpoint.pool()) {
            begin_with_header(&mut peer, header);
        }
        peer
    }

    /// A step that ends in time, or has the endpoint answer for it.
    async fn in_time<T>(
        &self,
        began: Instant,
        step: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let done = match timeout_at(self.until, step).await {
            Ok(done) => done,
            // What came before the attempt is not the endpoint's.
            Err(_) => Err(Failure {
                error: FetchError::TimedOut,
                next: Next::Nothing,
                is_the_endpoints: began.elapsed() * 2 >= self.limits.total,
            }),
        };
        done.inspect_err(|failure| {
            if failure.is_the_endpoints {
                self.pool.failed(self.lease, None, Instant::now());
            }
        })
    }

    /// Sends the request, and reads the head of its answer.
    async fn begin(&self, peer: &HttpPeer) -> Result<(HttpSession, ResponseHeader), Failure> {
        let connected = self.connector.get_http_session(peer).await;
        let (mut session, is_reused) = connected.map_err(|error| no_connection(&error))?;
        let is_h2 = matches!(session, HttpSession::H2(_));
        self.check_version(is_h2)?;
        let timeouts = self.pool.timeouts();
        session.set_write_timeout(Some(timeouts.idle.get()));
        session.set_read_timeout(Some(timeouts.first_byte.get()));
        let head = self.message.head(self.lease.endpoint(), is_h2).map_err(Failure::ours)?;
        let answered = self.exchange(&mut session, head).await;
        let head = answered.map_err(|error| self.no_answer(&error, peer, is_reused))?;
        Ok((session, head))
    }

    async fn exchange(
        &self,
        session: &mut HttpSession,
        head: Box<RequestHeader>,
    ) -> pingora_core::Result<ResponseHeader> {
        let body = self.message.body();
        match &mut *session {
            HttpSession::H2(h2) => h2.write_request_header(head, body.is_empty())?,
            other => other.write_request_header(head).await?,
        }
        let mut sent = Ok(());
        if !body.is_empty() {
            sent = session.write_request_body(body.clone(), true).await;
        }
        if sent.is_ok() {
            sent = session.finish_request_body().await;
        }
        // An endpoint may answer without having read all; then its answer counts.
        let answered = final_head(session).await;
        answered.map_err(|error| sent.err().unwrap_or(error))
    }

    /// Notes what an endpoint chose that may choose, and refuses one that may not.
    fn check_version(&self, is_h2: bool) -> Result<(), Failure> {
        let endpoint = self.lease.endpoint();
        match endpoint.pool().protocol {
            UpstreamProtocol::Auto => endpoint.note_version(is_h2),
            UpstreamProtocol::H2 | UpstreamProtocol::H2c if !is_h2 => {
                let error = FetchError::Connect("HTTP/2 was not chosen".to_owned());
                return Err(Failure { error, next: Next::Elsewhere, is_the_endpoints: true });
            }
            _ => {}
        }
        Ok(())
    }

    /// Notes the head of an answer; whether it counts as a failure.
    fn note_head(&self, head: &ResponseHeader, began: Instant) -> bool {
        let now = Instant::now();
        let is_failure = head.status.is_server_error();
        if is_failure {
            self.pool.failed(self.lease, retry_after(head), now);
        } else {
            self.pool.answered(self.lease, now.saturating_duration_since(began), now);
        }
        is_failure
    }

    fn no_answer(&self, error: &Error, peer: &HttpPeer, is_reused: bool) -> Failure {
        let is_auto = self.lease.endpoint().pool().protocol == UpstreamProtocol::Auto;
        let is_downgrade = *error.etype() == ErrorType::H2Downgrade && is_auto;
        if is_downgrade {
            self.connector.prefer_h1(peer);
        }
        let is_stale = is_reused && is_break(error) && self.message.is_idempotent();
        let is_unserved = is_downgrade || is_ended_politely(error) || is_refused_stream(error);
        if is_stale || is_unserved {
            let error = FetchError::Broken(error.to_string());
            return Failure { error, next: Next::Here, is_the_endpoints: false };
        }
        broken(error)
    }

    /// The body as far as it is wanted, and whether that is all of it.
    async fn read_body(&self, session: &mut HttpSession) -> Result<(Bytes, bool), Failure> {
        let most = self.limits.body;
        let mut body = BytesMut::new();
        while let Some(piece) = session.read_response_body().await.map_err(|error| broken(&error))? {
            let room = most - body.len();
            body.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.len() > room {
                return match self.limits.larger {
                    Larger::Refuse => Err(Failure::ours(FetchError::BodyTooLarge(most))),
                    Larger::Cut => Ok((body.freeze(), false)),
                };
            }
        }
        if let HttpSession::H2(h2) = session {
            // A stream that was reset ends too.
            h2.check_response_end_or_error().map_err(|error| broken(&error))?;
        }
        Ok((body.freeze(), true))
    }
}

impl Failure {
    /// One of which the endpoint knows nothing.
    fn ours(error: FetchError) -> Self {
        Self { error, next: Next::Nothing, is_the_endpoints: false }
    }
}

/// Reads to the header that is not merely informational (RFC 9110 §15.2).
async fn final_head(session: &mut HttpSession) -> pingora_core::Result<ResponseHeader> {
    let unwanted = |what| Err(Error::explain(ErrorType::InvalidHTTPHeader, what));
    for _ in 0..=MOST_INFORMATIONAL {
        session.read_response_header().await?;
        match session.response_header() {
            Some(head) if head.status == StatusCode::SWITCHING_PROTOCOLS => {
                return unwanted("an upgrade that nobody asked for");
            }
            Some(head) if !head.status.is_informational() => return Ok(head.clone()),
            // Of HTTP/2, Pingora reads one header.
            _ if matches!(session, HttpSession::H2(_)) => return unwanted("no final answer"),
            _ => {}
        }
    }
    unwanted("too many informational answers")
}

fn no_connection(error: &Error) -> Failure {
    let is_gone = is_gone(error);
    Failure {
        error: FetchError::Connect(error.to_string()),
        next: if is_gone { Next::Here } else { Next::Elsewhere },
        is_the_endpoints: !is_gone && !is_our_own_fault(error),
    }
}

fn broken(error: &Error) -> Failure {
    let error = match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => FetchError::TimedOut,
        _ => FetchError::Broken(error.to_string()),
    };
    Failure { error, next: Next::Nothing, is_the_endpoints: true }
}

/// The seconds form of `Retry-After` (RFC 9110 §10.2.3); a date would need clocks that agree.
fn retry_after(head: &ResponseHeader) -> Option<Duration> {
    head.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// What the fields take on the wire of HTTP/1.
fn size(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + ": \r\n".len()).sum()
}
