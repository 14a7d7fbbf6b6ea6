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
use super::cx::connection;
use super::failure::cause_of;
use super::forward::say_continue;

/// A request that filters see before an endpoint is chosen.
pub(super) struct Client<'a> {
    session: &'a mut Session,
    /// Why its body could not be read.
    failure: Option<Cause>,
}

impl<'a> Client<'a> {
    pub(super) fn new(session: &'a mut Session) -> Self {
        Self { session, failure: None }
    }

    /// By what the request fails, whatever a filter makes of it.
    pub(super) fn into_failure(self) -> Option<Cause> {
        self.failure
    }

    async fn read(&mut self, limit: usize) -> Result<EarlyBody, Cause> {
        let connection = connection(self.session).cloned().ok_or(Cause::Internal)?;
        let limits = &connection.listener().limits.body;
        self.ask().await.map_err(|error| cause_of(&error.into_down()))?;
        let is_http1 = self.session.as_downstream().as_http1().is_some();
        let _sipping = is_http1.then(|| connection.sip());
        if is_http1 {
            self.session.as_downstream_mut().enable_retry_buffering();
        }
        let begun = Instant::now();
        while !self.session.is_body_done() && self.read_so_far() <= limit as u64 {
            self.read_piece(limits, begun).await.map_err(|error| cause_of(&error.into_down()))?;
            if self.read_so_far() > limits.size.bytes() {
                return Err(Cause::BodyTooLarge);
            }
        }
        let bytes = self.session.as_downstream().get_retry_buffer().unwrap_or_default();
        if bytes.len() as u64 != self.read_so_far() {
            // Never; the endpoint would get another body than was looked at.
            return Err(Cause::Internal);
        }
        Ok(EarlyBody { bytes, is_whole: self.session.is_body_done() })
    }

    fn read_so_far(&self) -> u64 {
        self.session.as_downstream().body_bytes_read() as u64
    }

    async fn read_piece(&mut self, limits: &BodyLimits, begun: Instant) -> Result<()> {
        let idle = Instant::now() + limits.idle.get();
        let due = borne(limits, self.read_so_far()).map_or(idle, |borne| idle.min(begun + borne));
        match timeout_at(due, self.session.as_downstream_mut().read_request_body()).await {
            Ok(read) => read.map(drop),
            Err(_) => Error::e_explain(ErrorType::ReadTimedout, "the beginning of a body"),
        }
    }

    /// Asks a client for its body that waits for a 100, in the place of the endpoint.
    async fn ask(&mut self) -> Result<()> {
        if self.session.is_body_done() || self.session.req_header_mut().remove_header(&EXPECT).is_none() {
            return Ok(());
        }
        say_continue(self.session).await
    }
}

#[async_trait]
impl Incoming for Client<'_> {
    fn head(&self) -> &RequestHeader {
        self.session.req_header()
    }

    fn head_mut(&mut self) -> &mut RequestHeader {
        self.session.req_header_mut()
    }

    async fn read_body(&mut self, limit: usize) -> Result<EarlyBody, HookError> {
        self.read(limit).await.map_err(|cause| {
            self.failure = Some(cause);
            HookError::new("the body could not be read")
        })
    }
}
