//! Calls of gRPC: their deadlines, their messages and the status that ends them.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, TE};
use http::{HeaderMap, HeaderValue, Version};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use tokio::time::Instant;

use crate::config::spec::{Timeouts, UpstreamProtocol};
use crate::pools::{Fault, Pool};
use crate::runtime::{Cause, GRPC, GRPC_TIMEOUT, GrpcStatus, grpc_trailers, parse_timeout, timeout_value};

use crate::semantics::is_grpc;

use super::chain;
use super::cx::RequestCx;
use super::retry;

/// A call on its way to a pool that can serve it.
#[derive(Debug)]
pub(super) struct Call {
    /// How long its client waits for its end.
    deadline: Option<Duration>,
    /// The messages of the request, where the client sends them in the form in which endpoints get them.
    messages: Option<Messages>,
}

/// An endpoint is not blamed for missing a shorter deadline: clients may set any.
const HASTY: Duration = Duration::from_secs(1);
/// An endpoint that says nothing gets so much longer than the call has. Its own clock and the client's come first as a
/// rule; ours gives up the connection with all that it is still used for.
pub(super) const GRACE: Duration = Duration::from_millis(100);

impl Call {
    /// A request's call; `None` for any other request, and where endpoints are spoken to in HTTP/1, which knows none.
    ///
    /// # Errors
    /// When its deadline cannot be read: without one it could run on for longer than its client wants.
    pub(super) fn of(head: &RequestHeader, pool: &Pool, is_native: bool) -> Result<Option<Self>, Cause> {
        if !is_grpc(&head.headers) || pool.config().protocol == UpstreamProtocol::H1 {
            return Ok(None);
        }
        let deadline = match head.headers.get(GRPC_TIMEOUT) {
            None => None,
            Some(value) => Some(parse_timeout(value).ok_or(Cause::BadRequest)?),
        };
        let is_native = is_native && head.version == Version::HTTP_2;
        Ok(Some(Self { deadline, messages: is_native.then(Messages::default) }))
    }

    /// What the call may take in all, where other requests have `total`: without a deadline, as long as it likes. Zero is
    /// no limit.
    pub(super) fn total(&self, total: Duration) -> Duration {
        let Some(deadline) = self.deadline else { return Duration::ZERO };
        let deadline = deadline.max(Duration::from_nanos(1));
        if total.is_zero() { deadline } else { deadline.min(total) }
    }

    pub(super) fn has_deadline(&self) -> bool {
        self.deadline.is_some()
    }

    /// Whether the deadline is too short to tell anything of who misses it.
    pub(super) fn is_hasty(&self) -> bool {
        self.deadline.is_some_and(|deadline| deadline < HASTY)
    }

    /// Whether a client that leaves now does so because its time is up. Its clock began before ours, and what it says
    /// takes as long to get here as the call did.
    pub(super) fn has_run_out(&self, elapsed: Duration) -> bool {
        self.deadline.is_some_and(|deadline| elapsed * 10 >= deadline * 9)
    }

    /// How long the endpoint may be silent when `left` of the total is left: a stream may rest like a tunnel.
    pub(super) fn read_limit(timeouts: &Timeouts, left: Option<Duration>) -> Duration {
        let tunnel = timeouts.tunnel.get();
        left.map_or(tunnel, |left| (left + GRACE).min(tunnel))
    }

    /// The request of an attempt, for which `left` is left.
    pub(super) fn prepare(request: &mut RequestHeader, left: Option<Duration>) -> Option<()> {
        if request.version == Version::HTTP_2 {
            // It says that trailers are understood, without which some servers refuse calls.
            request.insert_header(TE, HeaderValue::from_static("trailers")).ok()?;
        }
        match left {
            Some(left) => request.insert_header(GRPC_TIMEOUT, timeout_value(left)).ok(),
            None => Some(()),
        }
    }

    /// Follows a piece of the request's body; how long the longest message is that it is part of. `None` where bodies
    /// are not followed.
    pub(super) fn follow(&mut self, piece: &[u8]) -> Option<u64> {
        self.messages.as_mut().map(|messages| messages.take(piece))
    }

    /// Before another attempt, to which the body is sent again from its first byte.
    pub(super) fn forget_body(&mut self) {
        self.messages = self.messages.take().map(|_| Messages::default());
    }
}

/// Follows the frames of a body: a flag, the length in four bytes, and the message.
#[derive(Debug, Default)]
struct Messages {
    /// So many bytes of the next frame's head are here.
    head: usize,
    length: [u8; 4],
    /// What is to come of the message.
    left: u64,
}

impl Messages {
    const HEAD: usize = 5;

    /// The length of the longest message that `piece` begins.
    fn take(&mut self, mut piece: &[u8]) -> u64 {
        let mut longest = 0;
        while !piece.is_empty() {
            if self.left > 0 {
                let taken = piece.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
                self.left -= taken as u64;
                piece = &piece[taken..];
                continue;
            }
            if self.head > 0 {
                self.length[self.head - 1] = piece[0];
            }
            self.head += 1;
            piece = &piece[1..];
            if self.head == Self::HEAD {
                self.head = 0;
                self.left = u32::from_be_bytes(self.length).into();
                longest = longest.max(self.left);
            }
        }
        longest
    }
}

// === How a call ends ===

/// Notes what the head of an answer tells of its end, which it does only where nothing follows it.
pub(super) fn note_head(response: &ResponseHeader, cx: &mut RequestCx) {
    let is_told = cx.call.is_some() && is_grpc(&response.headers);
    cx.grpc_status = is_told.then(|| GrpcStatus::told_by(&response.headers)).flatten();
}

/// Whether the call's status tells of a failure of the endpoint.
pub(super) fn is_failure(cx: &RequestCx) -> bool {
    cx.grpc_status.is_some_and(|status| {
        status.is_failure() && !(status == GrpcStatus::DEADLINE_EXCEEDED && retry::is_the_clients_limit(cx))
    })
}

/// Whether the client knows how its call ended. It may still send: such a call lasts until it breaks that off.
pub(super) fn is_over(cx: &RequestCx) -> bool {
    cx.call.is_some() && cx.grpc_status.is_some()
}

/// Takes the trailers of an endpoint's answer, and shows them to the filters. Returned are bytes that end the body; what is
/// left of the trailers follows them.
pub(super) fn hand_on_trailers(trailers: &mut HeaderMap, cx: &mut RequestCx) -> Option<Bytes> {
    if cx.call.is_some() {
        cx.grpc_status = GrpcStatus::told_by(trailers);
        if is_failure(cx) {
            retry::note_failure(cx, Fault::UpstreamStatus, None, Instant::now());
        }
    }
    let last = chain::on_response_trailers(trailers, cx);
    retry::let_go(cx);
    match last {
        Ok(last) => last,
        Err(cause) => {
            // What a filter could not look at does not go out.
            trailers.clear();
            if cx.call.is_some() {
                trailers.extend(grpc_trailers(&cause, cx.request_id()));
                cx.grpc_status = Some(cause.grpc_status());
            }
            cx.cause.get_or_insert(cause);
            None
        }
    }
}

/// Ends a call whose answer has begun and cannot go on, so that its client learns why, and not only that it broke off.
pub(super) async fn end(session: &mut Session, cause: &Cause, cx: &mut RequestCx) {
    let is_begun = session.response_written().is_some_and(|head| {
        let media_type = head.headers.get(CONTENT_TYPE).map_or(&b""[..], HeaderValue::as_bytes);
        media_type.starts_with(GRPC.as_bytes())
    });
    if !is_begun || cx.call.is_none() || is_over(cx) {
        return;
    }
    let mut trailers = HeaderMap::from_iter(grpc_trailers(cause, cx.request_id()));
    cx.grpc_status = Some(cause.grpc_status());
    // Who cannot be told any more need not be.
    let _ = match chain::on_response_trailers(&mut trailers, cx) {
        Ok(None) => session.as_downstream_mut().write_response_trailers(trailers).await,
        Ok(last) => end_with(session, last, trailers).await,
        Err(_) => Ok(()),
    };
}

async fn end_with(
    session: &mut Session,
    last: Option<Bytes>,
    trailers: HeaderMap,
) -> pingora_core::Result<()> {
    let is_all = trailers.is_empty();
    session.write_response_body(last, is_all).await?;
    if is_all { Ok(()) } else { session.as_downstream_mut().write_response_trailers(trailers).await }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(length: u32) -> Vec<u8> {
        let mut frame = vec![0];
        frame.extend(length.to_be_bytes());
        frame.resize(5 + length as usize, b'x');
        frame
    }

    #[test]
    fn the_longest_message_is_found_before_it_has_come() {
        let mut messages = Messages::default();
        assert_eq!(messages.take(&[frame(3), frame(70_000), frame(1)].concat()), 70_000);
        assert_eq!(messages.take(&[1, 0xff, 0xff]), 0);
        assert_eq!(messages.take(&[0xff, 0xff, 1]), u64::from(u32::MAX));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(lengths in prop::collection::vec(0u32..40, 1..20), cut in 1usize..30) {
            let body = lengths.iter().flat_map(|&length| frame(length)).collect::<Vec<_>>();
            let mut messages = Messages::default();
            let longest = body.chunks(cut).map(|piece| messages.take(piece)).max();
            prop_assert_eq!(longest, lengths.iter().max().map(|&length| u64::from(length)));
            prop_assert_eq!((messages.head, messages.left), (0, 0));
        }
    }

    #[test]
    fn the_smaller_limit_counts_and_without_a_deadline_none() {
        let seconds = Duration::from_secs;
        let call = |deadline| Call { deadline, messages: None };
        assert_eq!(call(None).total(seconds(60)), Duration::ZERO);
        assert_eq!(call(Some(seconds(5))).total(seconds(60)), seconds(5));
        assert_eq!(call(Some(seconds(90))).total(seconds(60)), seconds(60));
        assert_eq!(call(Some(seconds(90))).total(Duration::ZERO), seconds(90));
        assert!(!call(Some(Duration::ZERO)).total(Duration::ZERO).is_zero(), "zero would be no limit");
    }
}
