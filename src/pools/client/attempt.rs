use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue};
use pingora_core::connectors::http::Connector;
use pingora_core::protocols::http::client::HttpSession;
use pingora_core::upstreams::peer::HttpPeer;
use pingora_core::{Error, ErrorType};
use pingora_http::ResponseHeader;
use tokio::time::{Instant, timeout_at};

use crate::hooks::{FetchError, FetchLimits, Fetched, Larger};
use crate::pools::failure::{Fault, fault_of, is_break, is_gone, is_our_own_fault};
use crate::pools::proxy_header::{begin_with_header, local_header};
use crate::pools::{Lease, Pool};

use super::message::{Message, strip_connection};
use super::sending::{Sending, Stop, release};

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
    /// What the endpoint did wrong, if it tells of that.
    fault: Option<Fault>,
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

/// A kept connection that breaks later did not break because it had been closed.
const YOUNG: Duration = Duration::from_secs(1);

impl Attempt<'_> {
    pub(super) async fn run(&self) -> Result<Fetched, Failure> {
        let began = Instant::now();
        let peer = self.peer(began);
        let begun = self.in_time(began, self.begin(&peer)).await;
        let (mut session, head) = begun.inspect_err(|failure| self.note_failure(failure))?;
        let is_failure = self.note_head(&head, began);
        if is_larger(&head.headers, self.limits.head) {
            return Err(Failure::ours(FetchError::HeadTooLarge(self.limits.head)));
        }
        session.set_read_timeout(Some(self.pool.timeouts().idle.get()));
        let endpoint = self.lease.endpoint();
        let body = read_body(&mut session, self.limits, |bytes| endpoint.note_received(bytes));
        let body = self.in_time(began, body).await;
        // An attempt fails once, however it goes on.
        let body = body.inspect_err(|failure| {
            if !is_failure {
                self.note_failure(failure)
            }
        });
        let (body, is_whole) = body?;
        if !is_failure {
            self.pool.succeeded(self.lease, Instant::now());
        }
        if is_whole {
            release(self.connector, session, peer);
        }
        let (status, mut headers) = (head.status, head.headers.clone());
        strip_connection(&mut headers);
        let endpoint = endpoint.address().as_ref().clone();
        Ok(Fetched { status, headers, body, is_whole, endpoint })
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

    /// A step that ends in time, or fails for that.
    async fn in_time<T>(
        &self,
        began: Instant,
        step: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        match timeout_at(self.until, step).await {
            Ok(done) => done,
            // What came before the attempt is not the endpoint's.
            Err(_) => Err(Failure {
                error: FetchError::TimedOut,
                next: Next::Nothing,
                fault: (began.elapsed() * 2 >= self.limits.total).then_some(Fault::TotalTimeout),
            }),
        }
    }

    /// Has the endpoint answer for what it did wrong.
    fn note_failure(&self, failure: &Failure) {
        if let Some(fault) = failure.fault {
            self.pool.failed(self.lease, fault, None, Instant::now());
        }
    }

    /// Sends the request, and reads the head of its answer.
    async fn begin(&self, peer: &HttpPeer) -> Result<(HttpSession, ResponseHeader), Failure> {
        let endpoint = self.lease.endpoint();
        let timeouts = self.pool.timeouts();
        let (first_byte, idle) = (timeouts.first_byte.get(), timeouts.idle.get());
        let sending = Sending { connector: self.connector, endpoint, peer, first_byte, idle };
        let make_head = |is_h2| self.message.head(endpoint, is_h2);
        let began = Instant::now();
        let begun = sending.begin(make_head, self.message.body()).await;
        begun.map_err(|stop| match stop {
            Stop::NoConnection(error) => no_connection(&error),
            Stop::WrongVersion => {
                let error = FetchError::Connect("HTTP/2 was not chosen".to_owned());
                Failure { error, next: Next::Elsewhere, fault: Some(Fault::TlsFailed) }
            }
            Stop::Unsendable(error) => Failure::ours(error),
            Stop::NoAnswer { error, is_reused } => {
                if !sending.may_repeat(&error, is_reused, self.message.may_repeat()) {
                    // A connection that had been closed before the request came tells nothing of the endpoint.
                    let is_stale = is_reused && is_break(&error) && began.elapsed() < YOUNG;
                    let failure = broken(&error);
                    return Failure { fault: failure.fault.filter(|_| !is_stale), ..failure };
                }
                let error = FetchError::Broken(error.to_string());
                Failure { error, next: Next::Here, fault: None }
            }
        })
    }

    /// Notes the head of an answer; whether it counts as a failure.
    fn note_head(&self, head: &ResponseHeader, began: Instant) -> bool {
        let now = Instant::now();
        let is_failure = head.status.is_server_error();
        if is_failure {
            self.pool.failed(self.lease, Fault::UpstreamStatus, retry_after(head), now);
        } else {
            self.pool.answered(self.lease, now.saturating_duration_since(began), now);
        }
        is_failure
    }
}

impl Failure {
    /// One of which the endpoint knows nothing.
    fn ours(error: FetchError) -> Self {
        Self { error, next: Next::Nothing, fault: None }
    }
}

/// The body as far as it is wanted, and whether that is all of it. The bytes of each piece are told, wanted or not.
pub(super) async fn read_body(
    session: &mut HttpSession,
    limits: FetchLimits,
    note_received: impl Fn(u64),
) -> Result<(Bytes, bool), Failure> {
    let most = limits.body;
    let mut body = BytesMut::new();
    while let Some(piece) = session.read_response_body().await.map_err(|error| broken(&error))? {
        note_received(piece.len() as u64);
        let room = most - body.len();
        body.extend_from_slice(&piece[..piece.len().min(room)]);
        if piece.len() > room {
            return match limits.larger {
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

fn no_connection(error: &Error) -> Failure {
    let is_gone = is_gone(error);
    Failure {
        error: FetchError::Connect(error.to_string()),
        next: if is_gone { Next::Here } else { Next::Elsewhere },
        fault: (!is_gone && !is_our_own_fault(error)).then(|| fault_of(error)),
    }
}

pub(super) fn broken(error: &Error) -> Failure {
    let fault = Some(fault_of(error));
    let error = match error.etype() {
        ErrorType::ReadTimedout | ErrorType::WriteTimedout => FetchError::TimedOut,
        _ => FetchError::Broken(error.to_string()),
    };
    Failure { error, next: Next::Nothing, fault }
}

/// The seconds form of `Retry-After` (RFC 9110 §10.2.3); a date would need clocks that agree.
pub(crate) fn retry_after(head: &ResponseHeader) -> Option<Duration> {
    head.headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

/// Whether the fields take more than that on the wire of HTTP/1.
pub(super) fn is_larger(headers: &HeaderMap, most: usize) -> bool {
    let size =
        |(name, value): (&HeaderName, &HeaderValue)| name.as_str().len() + value.len() + ": \r\n".len();
    headers.iter().map(size).sum::<usize>() > most
}
