//! Requests of the edge's own to the endpoints of a pool.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};

use crate::types::EndpointAddr;

/// Sends requests of a hook's own to a pool: had from [`BuildCx::client`](super::BuildCx::client), and for jobs from
/// [`JobCx::client`](super::JobCx::client).
///
/// An endpoint is taken as for any request: by the pool's policy, health, zones and `max_requests`, and it is judged by
/// its answer. Connections are kept and shared by all that send such requests. Another endpoint is tried once where no
/// connection could be made; what may have reached an endpoint is not sent again, unless it says that it did not look at
/// it, or a kept connection proves to be closed and the method is idempotent or the client is for what
/// [may be repeated](Self::repeatable).
#[derive(Clone)]
pub struct PoolClient {
    fetch: Arc<dyn Fetch>,
    sender: Sender,
}

/// For whom requests are sent, and what is known of them all.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) client_ip: IpAddr,
    /// Whether they may be served twice, whatever their method.
    pub(crate) may_repeat: bool,
}

/// How long an answer may take, and how large it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FetchLimits {
    /// From the request to the last byte of the answer, with the wait for an endpoint and all attempts. The pool's own
    /// timeouts for a connection, the first byte and between bytes hold besides.
    pub total: Duration,
    /// Bytes of the answer's head.
    pub head: usize,
    /// Bytes of the answer's body.
    pub body: usize,
    /// What becomes of an answer with a larger body.
    pub larger: Larger,
}

/// What becomes of an answer whose body is larger than it may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Larger {
    /// It is none: [`FetchError::BodyTooLarge`].
    #[default]
    Refuse,
    /// It is cut off there, without an error.
    Cut,
}

/// A whole answer to a request of the edge's own.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Fetched {
    /// The status, 200 or above.
    pub status: StatusCode,
    /// The headers, without those that are about the connection.
    pub headers: HeaderMap,
    /// The body, as it was coded.
    pub body: Bytes,
    /// Whether that is all of it: not if it was [cut](Larger::Cut).
    pub is_whole: bool,
    /// Who answered.
    pub endpoint: EndpointAddr,
}

/// Why there is no answer to a request of the edge's own.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// The pool has no endpoint that is fit.
    #[error("no endpoint is fit")]
    NoEndpoint,
    /// All endpoints have as many requests as they may, and the line before them is too long or does not move.
    #[error("no endpoint has room")]
    NoRoom,
    /// The pool's policy failed.
    #[error("the pool's policy failed")]
    PolicyFailed,
    /// No connection could be made.
    #[error("no connection: {0}")]
    Connect(String),
    /// The answer was not there in time, or did not go on.
    #[error("no answer in time")]
    TimedOut,
    /// The head of the answer is larger than it may be.
    #[error("the answer's head is larger than {0} bytes")]
    HeadTooLarge(usize),
    /// The body of the answer is larger than it may be.
    #[error("the answer's body is larger than {0} bytes")]
    BodyTooLarge(usize),
    /// The answer broke off, or is none by the rules of HTTP.
    #[error("no whole answer: {0}")]
    Broken(String),
    /// The request cannot be sent as it is.
    #[error("no request that can be sent: {0}")]
    Unsendable(String),
}

/// What stands behind a [`PoolClient`].
#[async_trait]
pub(crate) trait Fetch: Send + Sync {
    async fn fetch(
        &self,
        request: Request<Bytes>,
        sender: Sender,
        limits: FetchLimits,
    ) -> Result<Fetched, FetchError>;
}

/// A pool that could not be built; its configuration is never served.
struct Nobody;

impl PoolClient {
    pub(crate) fn new(fetch: impl Fetch + 'static) -> Self {
        let sender = Sender { client_ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), may_repeat: false };
        Self { fetch: Arc::new(fetch), sender }
    }

    pub(crate) fn of_nobody() -> Self {
        Self::new(Nobody)
    }

    /// The same for requests that are made for this client, by whose address the pool's policy may go.
    #[must_use]
    pub fn for_client(&self, client_ip: IpAddr) -> Self {
        Self { fetch: self.fetch.clone(), sender: Sender { client_ip, ..self.sender } }
    }

    /// The same for requests that may be served twice, whatever their method: those that ask for something and change nothing.
    #[must_use]
    pub fn repeatable(&self) -> Self {
        Self { fetch: self.fetch.clone(), sender: Sender { may_repeat: true, ..self.sender } }
    }

    /// Sends a request, and reads the whole answer.
    ///
    /// Of its URI, path and query are sent. `Host` is the request's own, else what stands in its URI, else the pool's
    /// `tls.sni` or the endpoint's address. Fields that are about a connection are left out, and `Content-Length` is set by
    /// the body.
    ///
    /// To drop the call is to break the request off.
    ///
    /// # Errors
    /// When there is no whole answer, within all limits, in time. An answer of any status is none.
    pub async fn send(&self, request: Request<Bytes>, limits: FetchLimits) -> Result<Fetched, FetchError> {
        self.fetch.fetch(request, self.sender, limits).await
    }
}

impl Default for FetchLimits {
    /// 5 s, 16 KiB of head and 1 MiB of body, which is refused where it is larger.
    fn default() -> Self {
        Self { total: Duration::from_secs(5), head: 16 << 10, body: 1 << 20, larger: Larger::Refuse }
    }
}

#[async_trait]
impl Fetch for Nobody {
    async fn fetch(&self, _: Request<Bytes>, _: Sender, _: FetchLimits) -> Result<Fetched, FetchError> {
        Err(FetchError::NoEndpoint)
    }
}

impl fmt::Debug for PoolClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PoolClient").field("sender", &self.sender).finish_non_exhaustive()
    }
}
