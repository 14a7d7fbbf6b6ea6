//! A request of an HTTP/2 client as Pingora reads and answers it: one stream of the h2 crate.
//!
//! Pingora's own session drops informational answers, has no limit on what it reads, and resets a stream as soon as its
//! answer is sent. This one is handed over as a session of a protocol that Pingora does not know, for which it leaves
//! the authority of requests to whoever made the session: [`malformed`] judges what came, and the gateway what filters
//! make of it.

mod answer;
mod body;
mod custom;
mod linger;
mod malformed;
mod sender;
#[cfg(test)]
mod tests;
mod wait;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::FutureExt;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, Method, Request};
use pingora_core::protocols::Digest;
use pingora_core::{Error, ErrorType, OrErr, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::{Duration, Instant, sleep};

use crate::edge::cut::Breakable;
use crate::runtime::{ANSWERED, BrokenOff, Ending, ErrorAnswer};
use crate::semantics::is_grpc;

use self::answer::Answer;
use self::body::Body;
use self::wait::Wait;
use super::running::Run;

pub(super) struct Session {
    request: RequestHeader,
    body: Body,
    answer: Answer,
    wait: Wait,
    drain_limit: Option<Duration>,
    digest: Arc<Digest>,
    /// Until nothing of the stream is left.
    run: Option<Run>,
}

impl Session {
    pub(super) fn new(
        request: Request<RecvStream>,
        answer: SendResponse<Bytes>,
        digest: Arc<Digest>,
        run: Run,
        ending: &Ending,
    ) -> Self {
        let (head, stream) = request.into_parts();
        let request = RequestHeader::from(head);
        let mut answer = Answer::new(answer, ending.clone());
        // Some calls are answered only after they have gone on for long.
        if is_grpc(&request.headers) {
            answer.mark_lasting();
        }
        Self {
            body: Body::new(stream, &request),
            request,
            answer,
            wait: Wait::default(),
            drain_limit: None,
            digest,
            run: Some(run),
        }
    }

    /// Whether the client has given the request up already.
    pub(super) fn is_gone(&mut self) -> bool {
        poll_fn(|cx| self.answer.poll_reset(cx)).now_or_never().is_some()
    }

    /// Resolves a while after nothing of a request whose body was to come can matter any more. Whoever serves it has ended
    /// by then, unless its endpoint takes nothing, for as long as Pingora does not look at the session. `None` where
    /// nothing was to come.
    pub(super) fn abandonment(&self) -> Option<impl Future<Output = ()> + use<>> {
        let sender = self.answer.sender();
        let is_settled = poll_fn(move |cx| sender.poll_settled(cx));
        (!self.body.is_done()).then(|| is_settled.then(|()| sleep(linger::LONGEST + linger::EXTRA)))
    }

    /// By what the request is broken off.
    pub(super) fn end(&self) -> impl Breakable + use<> {
        self.answer.sender()
    }

    /// Whether the request is none that may be served, though the h2 crate let it pass.
    pub(super) fn is_malformed(&self) -> bool {
        malformed::is_malformed(&self.request)
    }

    pub(super) fn request_headers(&self) -> &HeaderMap {
        &self.request.headers
    }

    /// Answers a request that is not served; how many bytes the body of the answer has.
    pub(super) fn refuse(mut self, refusal: ErrorAnswer) -> usize {
        let is_bare = self.request.method == Method::HEAD;
        let Ok(mut head) = ResponseHeader::build(refusal.status, Some(refusal.headers.len() + 2)) else {
            return 0;
        };
        for (name, value) in refusal.headers {
            // There is room for so few.
            let _ = head.append_header(name, value);
        }
        let _ = head.set_content_length(refusal.body.len());
        let is_sent = self.answer.write_head(Box::new(head), is_bare).is_ok();
        if !is_sent || is_bare {
            return 0;
        }
        let size = refusal.body.len();
        // A client that is gone needs no answer.
        self.answer.finish_with(refusal.body).map_or(0, |()| size)
    }

    /// The next piece of the body, or `None` where none follows.
    async fn next_piece(&mut self) -> Result<Option<Bytes>> {
        if self.body.is_done() {
            return Ok(None);
        }
        poll_fn(|cx| self.poll_read(cx, false)).await
    }

    /// The next piece of the body, or `None` at its end; where no body is expected, only the end of the stream.
    fn poll_read(&mut self, cx: &mut Context<'_>, is_idle: bool) -> Poll<Result<Option<Bytes>>> {
        if let Some(ended) = self.answer.ended() {
            return self.poll_rest(cx, is_idle, ended);
        }
        if self.answer.is_broken_off() {
            return Poll::Ready(Err(io::Error::from(BrokenOff)).or_err(ErrorType::ReadError, "a request"));
        }
        if let Poll::Ready(read) = self.poll_stream(cx, is_idle) {
            return Poll::Ready(read);
        }
        ready!(self.wait.poll_over(cx));
        Poll::Ready(Error::e_explain(ErrorType::ReadTimedout, "waiting on an HTTP/2 stream"))
    }

    fn poll_stream(&mut self, cx: &mut Context<'_>, is_idle: bool) -> Poll<Result<Option<Bytes>>> {
        if is_idle || self.body.is_done() {
            let reset = ready!(self.answer.poll_reset(cx));
            return Poll::Ready(match reset {
                Ok(reason) => Error::e_explain(ErrorType::H2Error, format!("reset by the client: {reason}")),
                Err(error) => Error::e_because(ErrorType::H2Error, "waiting on an HTTP/2 stream", error),
            });
        }
        self.body
            .poll_piece(cx)
            .map_err(|error| Error::because(ErrorType::ReadError, "reading a body", error))
    }

    /// Once the whole answer is sent, the rest of the request may still come for a moment; however it ends then, that is
    /// no failure.
    fn poll_rest(
        &mut self,
        cx: &mut Context<'_>,
        is_idle: bool,
        ended: Instant,
    ) -> Poll<Result<Option<Bytes>>> {
        let is_over = self.wait.poll_until(ended + linger::LONGEST, cx).is_ready();
        if !is_over && let read @ Ok(_) = ready!(self.poll_stream(cx, is_idle)) {
            return Poll::Ready(read);
        }
        Poll::Ready(Error::e_explain(ErrorType::new(ANSWERED), "the answer was whole before its request"))
    }
}

impl Drop for Session {
    /// Leaves the rest of an unfinished request to be read and thrown away. Without that, the h2 crate would end the
    /// stream by a RST_STREAM right behind the answer, and clients lose answers over that (RFC 9113 §8.1 has them keep
    /// those, but not all do).
    fn drop(&mut self) {
        if let (Some(ended), Some(stream), Some(run)) =
            (self.answer.ended(), self.body.take(), self.run.take())
        {
            linger::spawn(stream, ended, run);
        }
    }
}
