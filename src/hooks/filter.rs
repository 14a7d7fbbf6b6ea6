use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use tokio::time::Instant;

use super::{Credential, End, FilterCx, Flow, HookError, KeyParts, Needs, RequestView, ResponseView};

/// A step on a route. One instance serves all requests of the route, on all threads.
///
/// The order of calls for one request:
///
/// ```text
/// on_request            once, filters in the order of the route
///   on_upstream_request   once per attempt, same order
///   on_request_body       per piece of the body, same order
/// on_response           once, filters in reverse order
///   on_response_body      per piece of the body, reverse order
///   on_response_trailers  once, if trailers follow the body, reverse order
/// on_end                once, reverse order
/// ```
///
/// When a filter answers or refuses in `on_request`, the filters after it see nothing of the request; those
/// before it, and it itself, see the answer in `on_response`. The methods that are not implemented cost next to
/// nothing. They run on the worker threads: none may block.
#[async_trait]
pub trait Filter: Send + Sync {
    /// Once per request, after its route was found and before an endpoint is chosen. May change the request,
    /// choose another pool, answer or refuse. Retries of the request do not call it again. All filters of a route together
    /// have the pool's `total` or what [`FilterCx::limit_total`] has left of it, 60 s at most; a wait is given up then, and when
    /// the process ends, by dropping the call.
    ///
    /// # Errors
    /// The request fails with the status of the error; it is never let through.
    async fn on_request(
        &self,
        _request: &mut RequestView<'_>,
        _cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        Ok(Flow::Continue)
    }

    /// Once per attempt, after its endpoint was chosen. What it changes is seen by this attempt alone. Also, without any other
    /// call, for a request of the edge's own that refreshes a stored answer: then the extensions are copies of those of the request
    /// that has found the answer.
    ///
    /// # Errors
    /// The request fails with the status of the error, without another attempt.
    fn on_upstream_request(
        &self,
        _request: &mut RequestView<'_>,
        _cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        Ok(())
    }

    /// Once per piece of the request's body as it passes; `end` marks the last, which may be empty (`None`).
    /// May replace or drop the piece. Must not hold back pieces without a limit. A retried request passes again.
    ///
    /// # Errors
    /// The request fails with the status of the error, or is cut off if its response has begun.
    fn on_request_body(
        &self,
        _body: &mut Option<Bytes>,
        _end: bool,
        _cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        Ok(())
    }

    /// Once for the head of the final response (not for 1xx, but for 101), also for answers made at the edge.
    /// May change status and headers.
    ///
    /// # Errors
    /// The client gets the error's status in place of the response. That answer is shown to the filters in turn;
    /// when one fails again, it goes out without them.
    fn on_response(&self, _response: &mut ResponseView<'_>, _cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        Ok(())
    }

    /// Once per piece of the response's body as it passes; `end` marks the last, which may be empty (`None`).
    /// Also called for answers made at the edge, unless their heads say that there is no body. Must not hold back pieces
    /// without a limit.
    ///
    /// # Errors
    /// The response is cut off, since its head is already with the client.
    fn on_response_body(
        &self,
        _body: &mut Option<Bytes>,
        _end: bool,
        _cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        Ok(())
    }

    /// Once for the trailers that follow a response's body, as those of gRPC do; the body has no last piece then. May
    /// change them. Bytes that are returned end the body, and the trailers follow them unless they were all removed; the
    /// filters that come after see these bytes as a piece of the body, its last where no trailers are left. Also called when the edge itself has to end a call of gRPC whose response has begun.
    ///
    /// # Errors
    /// The trailers do not go out; a call of gRPC ends with a status that tells of the failure.
    fn on_response_trailers(
        &self,
        _trailers: &mut HeaderMap,
        _cx: &mut FilterCx<'_>,
    ) -> Result<Option<Bytes>, HookError> {
        Ok(None)
    }

    /// Once when the request is over, whatever became of it, also where its client or its endpoint has gone. For what is
    /// counted or given back; nothing can be changed any more.
    fn on_end(&self, _end: &End<'_>, _cx: &mut FilterCx<'_>) {}

    /// Which of the methods beyond [`on_request`](Self::on_request), [`on_upstream_request`](Self::on_upstream_request) and
    /// [`on_response`](Self::on_response) do anything; the others are not called. Asked once when the route is built; bodies
    /// of routes without such filters pass untouched.
    fn needs(&self) -> Needs {
        Needs::NOTHING
    }

    /// Where clients show the credentials that the filter reads: access logs, taps, debug headers and spans do not tell what
    /// stands there, on any route. Asked once when the route is built.
    fn credentials(&self) -> Vec<Credential> {
        Vec::new()
    }

    /// What the filter does, in a few words for `evener explain`: `100/s per client, burst 50`.
    fn describe(&self) -> String {
        String::new()
    }

    /// What would become of a request with these parts at this moment, in a few words for `evener explain --online`, where that
    /// depends on what the filter has counted: `it would pass: 12 may come at once`. Counts nothing itself.
    fn describe_now(&self, _parts: KeyParts<'_>, _now: Instant) -> Option<String> {
        None
    }
}
