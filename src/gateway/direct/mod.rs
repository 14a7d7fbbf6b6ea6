//! Requests that need no endpoint, answered before Pingora sees them.
//!
//! What the edge answers itself, a stored answer above all, needs little of what Pingora does for a request that it
//! proxies, which is most of its price. So plain requests for routes that may answer by themselves are admitted here, by the
//! same code and the same filters, and answered on the connection. One that turns out to need an endpoint is handed on to
//! Pingora as it was admitted.

mod client;
mod head;

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{CONNECTION, EXPECT, UPGRADE};
use pingora_core::{Error, Result};
use pingora_http::RequestHeader;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use crate::hooks::{Body, LazyHead, ResponseHead};
use crate::runtime::{Cause, Connection, Snapshot};
use crate::telemetry::AccessLog;

use super::cx::RequestCx;
use super::failure::cause_of;
use super::stored::Hit;
use super::{HttpApp, admit, cache, chain, record, recording, reply, serve, split};
use client::Direct;

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// It is answered, and another may follow on its connection.
    KeepsOn,
    /// It is answered, or cannot be, and its connection ends.
    Ends,
    /// It is for Pingora.
    No,
}

/// A request that the edge may answer.
pub(crate) struct Asked {
    head: Bytes,
    received: Instant,
    snapshot: Arc<Snapshot>,
}

/// A request that was admitted and is for Pingora.
pub(super) struct Parked {
    request: RequestHeader,
    cx: Box<RequestCx>,
}

impl HttpApp {
    /// A request without a body, of which this is the sound head, if it is worth while to look at it before Pingora does: its
    /// path is one that may be answered at the edge.
    pub(crate) fn asked(&self, head: &[u8], received: Instant) -> Option<Asked> {
        let target = head.strip_prefix(b"GET ").or_else(|| head.strip_prefix(b"HEAD "))?;
        let snapshot = self.gateway.live.snapshot_if(|snapshot| snapshot.edge_paths.may_have(target))?;
        Some(Asked { head: Bytes::copy_from_slice(head), received, snapshot })
    }

    /// Answers a request, if that needs no endpoint. What it leaves is to be served next on its connection.
    pub(crate) async fn answer<S>(
        &self,
        asked: Asked,
        connection: &Arc<Connection>,
        stream: &mut S,
        keeps_on: bool,
    ) -> Answered
    where
        S: AsyncWrite + Unpin + Send + Sync,
    {
        let Asked { head, received, snapshot } = asked;
        let Some(request) = head::parse(&head) else { return Answered::No };
        let Some(options) = Options::of(&request.headers) else { return Answered::No };
        let mut cx = Box::new(RequestCx::new(snapshot, received));
        let mut client = Direct::new(request, connection, stream, keeps_on && options != Options::Close);
        match go(&mut client, &mut cx, &self.gateway.log).await {
            Ok(true) => {}
            Ok(false) => {
                cx.is_admitted = true;
                connection.park(Box::new(Parked { request: client.request, cx }));
                return Answered::No;
            }
            Err(error) => fail(&mut client, &error, &mut cx).await,
        }
        record::finish(&client, &mut cx, &self.gateway.log);
        if client.keeps_on && client.is_whole() { Answered::KeepsOn } else { Answered::Ends }
    }
}

impl Parked {
    /// Has Pingora's session go on where the edge has left off.
    pub(super) fn resume(self, request: &mut RequestHeader, cx: &mut Box<RequestCx>) -> Result<()> {
        *cx = self.cx;
        head::adopt(request, &self.request).map_err(|cause| cx.fail(cause))
    }
}

/// Answers a request; false where an endpoint is to.
async fn go<S>(client: &mut Direct<'_, S>, cx: &mut RequestCx, log: &AccessLog) -> Result<bool>
where
    S: AsyncWrite + Unpin + Send + Sync,
{
    let flow = admit::admit(client, cx).await.map_err(|cause| cx.fail(cause))?;
    if reply::follow(client, cx, flow).await? {
        return Ok(true);
    }
    match cache::stored(client, cx) {
        Some(hit) => give(client, cx, hit, log).await.map(|()| true),
        None => Ok(false),
    }
}

/// Gives a stored answer: as it is kept, unless somebody wants to see or change it.
async fn give<S>(client: &mut Direct<'_, S>, cx: &mut RequestCx, hit: Hit, log: &AccessLog) -> Result<()>
where
    S: AsyncWrite + Unpin + Send + Sync,
{
    if split::binds_client(cx) {
        let mut head = hit.head();
        split::bind_client(&mut head, cx).ok_or_else(|| cx.fail(Cause::Internal))?;
        return serve::write_parts(client, cx, head, hit.into_body()).await;
    }
    let (mut head, make) = (LazyHead::default(), || hit.head());
    let seen = chain::on_response(&client.request, ResponseHead::Lazy(&mut head, &make), cx);
    let made = head.into_made();
    if let Err(cause) = seen {
        return serve::write_seen(client, cx, Err(cause), Body::default()).await;
    }
    let is_untouched = made.is_none() && !chain::filters_response_body(cx) && !recording::is_told(cx);
    match hit.lines().filter(|_| is_untouched) {
        Some(lines) => {
            client.head = log.tells_headers(cx.own_lines()).then(make);
            client.send_stored(lines, &hit).await
        }
        None => {
            let head = made.unwrap_or_else(make);
            serve::write_seen(client, cx, Ok(head), hit.into_body()).await
        }
    }
}

async fn fail<S>(client: &mut Direct<'_, S>, error: &Error, cx: &mut RequestCx)
where
    S: AsyncWrite + Unpin + Send + Sync,
{
    let cause = cx.cause.get_or_insert_with(|| cause_of(error)).clone();
    let is_broken_off = client.has_begun() || cause == Cause::ClientGone;
    if is_broken_off || cause.breaks_http() {
        client.keeps_on = false;
    }
    if !is_broken_off && reply::tell(client, cx, &cause).await.is_err() {
        client.keeps_on = false;
    }
}

/// What a client says of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Options {
    KeepAlive,
    Close,
}

impl Options {
    /// `None` for requests that want more of their connection than to be answered on it.
    fn of(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key(UPGRADE) || headers.contains_key(EXPECT) {
            return None;
        }
        let mut fields = headers.get_all(CONNECTION).iter();
        let Some(field) = fields.next() else { return Some(Self::KeepAlive) };
        match field.as_bytes() {
            _ if fields.next().is_some() => None,
            option if option.eq_ignore_ascii_case(b"keep-alive") => Some(Self::KeepAlive),
            option if option.eq_ignore_ascii_case(b"close") => Some(Self::Close),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests;
