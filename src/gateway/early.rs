//! The beginning of a body, for filters that look at it before an endpoint is chosen.
//!
//! It stays in the buffer from which Pingora sends a body again to another endpoint: the first attempt sends it too, so
//! that all that watches bodies sees it pass. The buffer has room for 64 KiB and gives up beyond that, so that the
//! pieces that are read have to be short: those of HTTP/1 are made so, and frames of HTTP/2 have 16 KiB at most.

use async_trait::async_trait;
use http::header::EXPECT;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::RequestHeader;
use pingora_proxy::Session;
use tokio::time::{Instant, timeout_at};

use crate::config::spec::BodyLimits;
use crate::hooks::{EarlyBody, HookError, Incoming};
use crate::runtime::Cause;

use super::admit::borne;
use super::downstream::Downstream;
use super::failure::cause_of;
use super::forward::say_continue;

/// A request that filters see before an endpoint is chosen.
pub(super) struct Client<'a, D> {
    client: &'a mut D,
    /// Why its body could not be read.
    failure: Option<Cause>,
}

impl<'a, D> Client<'a, D> {
    pub(super) fn new(client: &'a mut D) -> Self {
        Self { client, failure: None }
    }

    /// By what the request fails, whatever a filter makes of it.
    pub(super) fn into_failure(self) -> Option<Cause> {
        self.failure
    }
}

#[async_trait]
impl<D: Downstream> Incoming for Client<'_, D> {
    fn head(&self) -> &RequestHeader {
        self.client.request()
    }

    fn head_mut(&mut self) -> &mut RequestHeader {
        self.client.request_mut()
    }

    async fn read_body(&mut self, limit: usize) -> Result<EarlyBody, HookError> {
        self.client.read_early(limit).await.map_err(|cause| {
            self.failure = Some(cause);
            HookError::new("the body could not be read")
        })
    }
}

/// Reads more than the first `limit` bytes of a body, or all of it.
pub(super) async fn read(session: &mut Session, limit: usize) -> Result<EarlyBody, Cause> {
    let connection = session.connection().cloned().ok_or(Cause::Internal)?;
    let limits = &connection.listener().limits.body;
    ask(session).await.map_err(|error| cause_of(&error.into_down()))?;
    let is_http1 = session.as_downstream().as_http1().is_some();
    let _sipping = is_http1.then(|| connection.sip());
    if is_http1 {
        // Sessions of HTTP/2 keep what they read by themselves.
        session.as_downstream_mut().enable_retry_buffering();
    }
    let begun = Instant::now();
    while !session.is_body_done() && session.bytes_read() <= limit as u64 {
        read_piece(session, limits, begun).await.map_err(|error| cause_of(&error.into_down()))?;
        if session.bytes_read() > limits.size.bytes() {
            return Err(Cause::BodyTooLarge);
        }
    }
    let bytes = session.as_downstream().get_retry_buffer().unwrap_or_default();
    if bytes.len() as u64 != session.bytes_read() {
        // Never; the endpoint would get another body than was looked at.
        return Err(Cause::Internal);
    }
    Ok(EarlyBody { bytes, is_whole: session.is_body_done() })
}

async fn read_piece(session: &mut Session, limits: &BodyLimits, begun: Instant) -> Result<()> {
    let idle = Instant::now() + limits.idle.get();
    let due = borne(limits, session.bytes_read()).map_or(idle, |borne| idle.min(begun + borne));
    match timeout_at(due, session.as_downstream_mut().read_request_body()).await {
        Ok(read) => read.map(drop),
        Err(_) => Error::e_explain(ErrorType::ReadTimedout, "the beginning of a body"),
    }
}

/// Asks a client for its body that waits for a 100, in the place of the endpoint.
async fn ask(session: &mut Session) -> Result<()> {
    if session.is_body_done() || session.req_header_mut().remove_header(&EXPECT).is_none() {
        return Ok(());
    }
    say_continue(session).await
}
