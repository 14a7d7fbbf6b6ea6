//! Requests of the edge's own, beside those that it passes on.

mod attempt;
mod message;
mod sending;
mod streamed;
mod url;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use pingora_core::connectors::http::Connector;
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::hooks::{Fetch, FetchError, FetchLimits, Fetched, PoolClient, Sender};
use crate::types::with_random;

use super::reserve::{Terms, Unreserved, reserve};
use super::{Lease, Pool, Tried};

pub(crate) use attempt::retry_after;
use attempt::{Attempt, Failure, Next};
use message::Message;
pub(crate) use message::connection_fields;
pub(crate) use streamed::{Streamed, StreamedLimits, Unanswered, send_streamed};
pub(crate) use url::UrlClient;

/// So often a request is sent again, at most, that its endpoint has not looked at.
const MOST_REPEATS: u32 = 2;
/// Whatever the limits say.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Where the connections are kept. One for all, since it has the certificates of the system.
static CONNECTOR: OnceCell<Connector> = OnceCell::const_new();

/// Sends requests to a pool, as one configuration has it.
struct Client {
    pool: Arc<Pool>,
}

impl Pool {
    /// What sends requests of the edge's own to this pool.
    pub(crate) fn client(self: &Arc<Self>) -> PoolClient {
        PoolClient::new(Client { pool: self.clone() })
    }
}

#[async_trait]
impl Fetch for Client {
    async fn fetch(
        &self,
        request: Request<Bytes>,
        sender: Sender,
        limits: FetchLimits,
    ) -> Result<Fetched, FetchError> {
        let message = Message::new(request, sender.may_repeat)?;
        let until = Instant::now() + limits.total.min(LONGEST);
        let connector = connector().await?;
        let mut lease = self.reserve(&message, sender.client_ip, until).await?;
        let mut repeats = 0;
        let mut tried = Tried::new();
        loop {
            let pool = &*self.pool;
            let attempt = Attempt { connector, pool, lease: &lease, message: &message, limits, until };
            let Failure { error, next, .. } = match attempt.run().await {
                Ok(fetched) => return Ok(fetched),
                Err(failure) => failure,
            };
            match next {
                Next::Here if repeats < MOST_REPEATS => repeats += 1,
                Next::Elsewhere if tried.is_empty() => {
                    tried.push(lease.endpoint().clone());
                    drop(lease);
                    lease = self.another(&tried).ok_or(error)?;
                }
                Next::Here | Next::Elsewhere | Next::Nothing => return Err(error),
            }
        }
    }
}

/// Made when the first request is sent, and elsewhere: reading files takes a moment.
async fn connector() -> Result<&'static Connector, FetchError> {
    let make = || tokio::task::spawn_blocking(|| Connector::new(None));
    CONNECTOR.get_or_try_init(make).await.map_err(|error| FetchError::Connect(error.to_string()))
}

impl Client {
    async fn reserve(
        &self,
        message: &Message,
        client_ip: IpAddr,
        until: Instant,
    ) -> Result<Lease, FetchError> {
        let terms = Terms { pinned: None, now: Instant::now(), until: Some(until) };
        let reserved = reserve(&self.pool, |now| message.pick_cx(client_ip, now), terms).await;
        reserved.map(|reserved| reserved.lease).map_err(|why| match why {
            Unreserved::NobodyFit => FetchError::NoEndpoint,
            Unreserved::QueueFull | Unreserved::QueueTimedOut => FetchError::NoRoom,
            Unreserved::OutOfTime => FetchError::TimedOut,
            Unreserved::PolicyFailed => FetchError::PolicyFailed,
        })
    }

    /// An endpoint that was not tried yet.
    fn another(&self, tried: &Tried) -> Option<Lease> {
        with_random(|random| self.pool.pick_untried(tried, Instant::now(), random))
    }
}
