//! The client's side of a request, whoever reads and writes there.

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use http::{HeaderMap, StatusCode};
use pingora_core::protocols::http::ServerSession;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use tokio::time::{Instant, sleep_until};

use crate::hooks::EarlyBody;
use crate::runtime::{Cause, Connection, Hold, Pacing, Stage};

use super::early;

/// What admission, filters and answers of the edge need of a client. Pingora's session is one; [`direct`] has another, for
/// requests that Pingora need not see.
///
/// [`direct`]: super::direct
pub(super) trait Downstream: Send + Sync {
    /// The request's head.
    fn request(&self) -> &RequestHeader;

    /// The same, for whoever brings it into form.
    fn request_mut(&mut self) -> &mut RequestHeader;

    /// The connection that it came on.
    fn connection(&self) -> Option<&Arc<Connection>>;

    /// The status of the head that was written last.
    fn written(&self) -> Option<StatusCode>;

    /// The fields of that head, where somebody may still want to know them.
    fn written_fields(&self) -> Option<&HeaderMap>;

    /// Bytes of the request's body that were read.
    fn bytes_read(&self) -> u64;

    /// Reads the beginning of the request's body and leaves it where it is, see [`early`].
    ///
    /// [`early`]: super::early
    fn read_early(&mut self, limit: usize) -> impl Future<Output = Result<EarlyBody, Cause>> + Send;

    /// Bytes of the answer's body that were sent.
    fn bytes_sent(&self) -> u64;

    /// Has the connection end with the answer.
    fn close_after(&mut self);

    /// Whether the connection ends with the answer if that comes before the end of the request.
    fn close_if_unread(&mut self, closes: bool);

    /// Holds up the piece of the answer's body that is written next, of so many bytes.
    fn hold(&mut self, hold: Hold, size: usize);

    /// Writes the head of an answer, which nothing follows if `is_all`.
    fn write_head(
        &mut self,
        head: ResponseHeader,
        is_all: bool,
    ) -> impl Future<Output = pingora_core::Result<()>> + Send;

    /// Writes a piece of its body.
    fn write_piece(
        &mut self,
        piece: Option<Bytes>,
        end: bool,
    ) -> impl Future<Output = pingora_core::Result<()>> + Send;
}

impl Downstream for Session {
    fn request(&self) -> &RequestHeader {
        self.req_header()
    }

    fn request_mut(&mut self) -> &mut RequestHeader {
        self.req_header_mut()
    }

    fn connection(&self) -> Option<&Arc<Connection>> {
        let digest = self.as_downstream().digest()?;
        digest.proxy_digest.as_ref()?.user_data.as_ref()?.downcast_ref()
    }

    fn written(&self) -> Option<StatusCode> {
        self.response_written().map(|head| head.status)
    }

    fn written_fields(&self) -> Option<&HeaderMap> {
        self.response_written().map(|head| &head.headers)
    }

    fn bytes_read(&self) -> u64 {
        self.body_bytes_read() as u64
    }

    async fn read_early(&mut self, limit: usize) -> Result<EarlyBody, Cause> {
        early::read(self, limit).await
    }

    fn bytes_sent(&self) -> u64 {
        self.body_bytes_sent() as u64
    }

    fn close_after(&mut self) {
        self.set_keepalive(None);
    }

    fn close_if_unread(&mut self, closes: bool) {
        self.as_downstream_mut().set_close_on_response_before_downstream_finish(closes);
    }

    fn hold(&mut self, hold: Hold, size: usize) {
        if self.as_downstream().as_http1().is_none() {
            self.req_header_mut().extensions_mut().get_or_insert_default::<Pacing>().hold(hold, size);
            return;
        }
        // It would count the pause; that the client takes nothing is for its stream to find out.
        self.as_downstream_mut().set_write_timeout(None);
        if let Some(connection) = self.connection() {
            connection.pacing().hold(hold, size);
        }
    }

    async fn write_head(&mut self, head: ResponseHeader, is_all: bool) -> pingora_core::Result<()> {
        if is_all && let ServerSession::Custom(stream) = self.as_downstream_mut() {
            // So that the head itself ends the stream, as clients of gRPC want it, and nobody has to do so later.
            return stream.write_response_header(Box::new(head), true).await;
        }
        self.write_response_header(Box::new(head), is_all).await
    }

    async fn write_piece(&mut self, piece: Option<Bytes>, end: bool) -> pingora_core::Result<()> {
        self.write_response_body(piece, end).await
    }
}

/// Resolves when the process has no more time for the request, for waits in which nothing is read of its client.
pub(super) async fn until_cut(client: &impl Downstream) {
    match client.connection() {
        Some(connection) => connection.ending().reached(Stage::RequestsCut).await,
        None => std::future::pending().await,
    }
}

/// Waits for what the edge itself does for a request, as long as both the request and the process have time.
///
/// # Errors
/// When either has none left.
pub(super) async fn within<T>(
    client: &impl Downstream,
    until: Option<Instant>,
    work: impl Future<Output = T>,
) -> Result<T, Cause> {
    let is_over = async {
        match until {
            Some(until) => sleep_until(until).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        done = work => Ok(done),
        () = until_cut(client) => Err(Cause::Cut),
        () = is_over => Err(Cause::TotalTimeout),
    }
}

/// Whether the client has left in the meantime, as far as can be told without reading what it may still have to say: of
/// HTTP/1, the body of its request is in the way.
pub(super) fn has_gone(session: &mut Session) -> bool {
    let client = session.as_downstream_mut();
    if client.as_http1().is_some() && !client.is_body_done() {
        return false;
    }
    matches!(client.read_body_or_idle(true).now_or_never(), Some(Err(_)))
}

/// Whether the client is asked to come back on another connection.
pub(super) fn is_leaving(client: &impl Downstream) -> bool {
    client.connection().is_some_and(|connection| connection.ending().has_reached(Stage::Leaving))
}
