//! The session as Pingora's proxy calls it.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use futures::Stream;
use http::HeaderMap;
use pingora_core::protocols::Digest;
use pingora_core::protocols::http::HttpTask;
use pingora_core::protocols::http::custom::CustomMessageWrite;
use pingora_core::protocols::http::custom::server::Session as Custom;
use pingora_core::protocols::http::v1::client::http_req_header_to_wire;
use pingora_core::protocols::l4::socket::SocketAddr;
use pingora_core::{Error, ErrorType, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::timeout;

use crate::runtime::LastTrailers;

use super::Session;

/// Has trailers follow the last piece of a body.
fn end_with(tasks: &mut Vec<HttpTask>, trailers: HeaderMap) {
    let last = tasks.iter_mut().enumerate().find_map(|(index, task)| match task {
        HttpTask::Body(_, end) if *end => Some((index, end)),
        _ => None,
    });
    if let Some((index, end)) = last {
        *end = false;
        tasks.insert(index + 1, HttpTask::Trailer(Some(Box::new(trailers))));
    }
}

type Messages = Box<dyn Stream<Item = Result<Bytes>> + Unpin + Send + Sync + 'static>;

#[async_trait]
impl Custom for Session {
    // === The request ===

    fn req_header(&self) -> &RequestHeader {
        &self.request
    }

    fn req_header_mut(&mut self) -> &mut RequestHeader {
        &mut self.request
    }

    /// Called before an endpoint has been reached, which is to get the piece all the same.
    async fn read_body_bytes(&mut self) -> Result<Option<Bytes>> {
        self.body.keep();
        self.next_piece().await
    }

    async fn read_body_or_idle(&mut self, no_body_expected: bool) -> Result<Option<Bytes>> {
        poll_fn(|cx| self.poll_read(cx, no_body_expected)).await
    }

    async fn drain_request_body(&mut self) -> Result<()> {
        let limit = self.drain_limit.unwrap_or(Duration::MAX);
        let drained = timeout(limit, async {
            while self.next_piece().await?.is_some() {}
            Ok(())
        });
        let too_slow = |_| Error::explain(ErrorType::ReadTimedout, "draining a body");
        drained.await.map_err(too_slow)?
    }

    fn is_body_done(&mut self) -> bool {
        self.body.is_done()
    }

    fn is_body_empty(&mut self) -> bool {
        self.body.is_empty()
    }

    fn body_bytes_read(&self) -> usize {
        self.body.read()
    }

    /// Called whenever an endpoint has been reached.
    fn enable_retry_buffering(&mut self) {
        self.answer.note_endpoint();
        self.body.keep();
    }

    fn retry_buffer_truncated(&self) -> bool {
        self.body.is_beyond_keeping()
    }

    fn get_retry_buffer(&self) -> Option<Bytes> {
        self.body.kept()
    }

    fn request_summary(&self) -> String {
        format!("{} {}", self.request.method, self.request.uri)
    }

    /// For subrequests, of which there are none.
    fn pseudo_raw_h1_request_header(&self) -> Bytes {
        http_req_header_to_wire(&self.request).map_or_else(Bytes::new, BytesMut::freeze)
    }

    // === The answer ===

    async fn write_response_header(&mut self, head: Box<ResponseHeader>, end: bool) -> Result<()> {
        self.answer.write_head(head, end).map_err(Error::into_down)
    }

    async fn write_response_header_ref(&mut self, head: &ResponseHeader, end: bool) -> Result<()> {
        self.answer.write_head(Box::new(head.clone()), end).map_err(Error::into_down)
    }

    async fn write_body(&mut self, piece: Bytes, end: bool) -> Result<()> {
        self.answer.set_pacing(self.request.extensions.get().cloned());
        self.answer.write(piece, end).await.map_err(Error::into_down)
    }

    async fn write_trailers(&mut self, trailers: HeaderMap) -> Result<()> {
        self.answer.write_trailers(trailers).map_err(Error::into_down)
    }

    async fn response_duplex_vec(&mut self, mut tasks: Vec<HttpTask>) -> Result<bool> {
        self.answer.set_pacing(self.request.extensions.get().cloned());
        if let Some(LastTrailers(trailers)) = self.request.extensions_mut().remove() {
            end_with(&mut tasks, trailers);
        }
        self.answer.write_tasks(tasks).await
    }

    fn response_written(&self) -> Option<&ResponseHeader> {
        self.answer.head()
    }

    fn body_bytes_sent(&self) -> usize {
        self.answer.sent()
    }

    async fn finish(&mut self) -> Result<()> {
        self.answer.finish().map_err(Error::into_down)
    }

    async fn shutdown(&mut self, _: u32, _: &str) {
        self.answer.abandon();
    }

    // === Limits ===

    /// How long nothing may come, of the body or, once it has ended, of anything.
    fn set_read_timeout(&mut self, limit: Option<Duration>) {
        self.wait.set(limit);
    }

    fn get_read_timeout(&self) -> Option<Duration> {
        self.wait.limit()
    }

    fn set_write_timeout(&mut self, limit: Option<Duration>) {
        self.answer.set_limit(limit);
    }

    fn get_write_timeout(&self) -> Option<Duration> {
        self.answer.limit()
    }

    fn set_total_drain_timeout(&mut self, limit: Option<Duration>) {
        self.drain_limit = limit;
    }

    fn get_total_drain_timeout(&self) -> Option<Duration> {
        self.drain_limit
    }

    // === The connection ===

    fn digest(&self) -> Option<&Digest> {
        Some(&self.digest)
    }

    fn digest_mut(&mut self) -> Option<&mut Digest> {
        Arc::get_mut(&mut self.digest)
    }

    fn client_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.peer_addr()
    }

    fn server_addr(&self) -> Option<&SocketAddr> {
        self.digest.socket_digest.as_ref()?.local_addr()
    }

    // === Messages beside requests, which HTTP/2 does not have ===

    async fn finish_custom(&mut self) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_reader(&mut self) -> Option<Messages> {
        None
    }

    fn restore_custom_message_reader(&mut self, _: Messages) -> Result<()> {
        Ok(())
    }

    fn take_custom_message_writer(&mut self) -> Option<Box<dyn CustomMessageWrite>> {
        None
    }

    fn restore_custom_message_writer(&mut self, _: Box<dyn CustomMessageWrite>) -> Result<()> {
        Ok(())
    }
}
