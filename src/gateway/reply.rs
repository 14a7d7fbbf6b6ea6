//! Answers made at the edge.

use http::header::{CONTENT_LENGTH, EXPECT, LOCATION};
use http::{HeaderValue, Method, StatusCode};
use pingora_core::protocols::http::ServerSession;
use pingora_core::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{FailToProxy, Session};
use tokio::time::{Instant, sleep};

use crate::hooks::{Answer, Flow, Rejection, RequestVars, RequestView};
use crate::runtime::{Action, Cause, ErrorBody, error_answer};

use super::admit::{SERVED, content_length};
use super::chain;
use super::cx::{RequestCx, filter_parts, is_leaving, until_cut};
use super::failure::{cause_of, is_after_answer};
use super::grpc;

/// Goes where the filters sent the request: true when it is answered, false when an endpoint is to serve it.
pub(super) async fn follow(session: &mut Session, cx: &mut RequestCx, flow: Flow) -> Result<bool> {
    let answer = match flow {
        Flow::Respond(answer) => *answer,
        Flow::Reject(rejection) => refusal(session, cx, *rejection),
        Flow::Continue => match act(session, cx).await {
            Ok(Some(answer)) => answer,
            Ok(None) => return Ok(false),
            Err(cause) => return Err(cx.fail(cause)),
        },
    };
    write(session, cx, answer).await?;
    Ok(true)
}

/// What the route itself does; `None` when an endpoint is to serve the request, or a cache.
async fn act(session: &mut Session, cx: &mut RequestCx) -> Result<Option<Answer>, Cause> {
    if cx.pool.is_some() {
        return Ok(None);
    }
    if let Some(Action::Respond(respond)) = cx.route().map(|route| &route.action)
        && !respond.delay.is_zero()
    {
        let is_cut = until_cut(session);
        tokio::select! {
            () = sleep(respond.delay) => {}
            () = is_cut => return Err(Cause::Cut),
        }
    }
    let Some((filter_cx, route, host)) = filter_parts(cx, Instant::now()) else {
        return Err(Cause::Internal);
    };
    let request = RequestView::new(session.req_header_mut(), host);
    let vars = RequestVars::of_request(&request, &filter_cx);
    let value = |template| vars.header_value(template).map_err(|error| Cause::HookFailed(error.status()));
    match &route.action {
        Action::Pool(_) => Err(Cause::Internal),
        Action::Redirect(redirect) => {
            let answer = Answer::new(redirect.status, "");
            Ok(Some(answer.with_header(LOCATION, value(&redirect.to)?)))
        }
        Action::Respond(respond) => {
            let mut answer = Answer::new(respond.status, respond.body.clone());
            for (name, template) in &respond.headers {
                answer.headers.push((name.clone(), value(template)?));
            }
            Ok(Some(answer))
        }
    }
}

fn refusal(session: &Session, cx: &mut RequestCx, rejection: Rejection) -> Answer {
    let cause = Cause::Rejected(rejection.status, rejection.cause);
    let mut answer = explain(session, cx, &cause);
    answer.headers.extend(rejection.headers);
    cx.cause = Some(cause);
    answer
}

/// The answer for an error, in the form that the client understands.
fn explain(session: &Session, cx: &mut RequestCx, cause: &Cause) -> Answer {
    let form = ErrorBody::accepted_by(&session.req_header().headers);
    cx.grpc_status = (form == ErrorBody::Grpc).then(|| cause.grpc_status());
    error_answer(cause, form, cx.request_id())
}

/// Answers a request that failed, if its client is still there and has not got an answer already.
pub(super) async fn fail(session: &mut Session, error: &Error, cx: &mut RequestCx) -> FailToProxy {
    if is_after_answer(error) {
        return FailToProxy { error_code: 0, can_reuse_downstream: false };
    }
    let is_answered = session.response_written().is_some_and(|written| is_final(written.status));
    if is_answered && cx.cause.is_none() && grpc::is_over(cx) {
        return FailToProxy { error_code: 0, can_reuse_downstream: false };
    }
    let cause = cx.cause.get_or_insert_with(|| cause_of(error)).clone();
    if is_answered && cause != Cause::ClientGone {
        grpc::end(session, &cause, cx).await;
    }
    if is_answered || cause == Cause::ClientGone {
        return FailToProxy { error_code: 0, can_reuse_downstream: false };
    }
    // Once endpoints are involved, Pingora closes the connection after a failure; the client is told so.
    // So it does after a client that breaks HTTP: what it sends next cannot be trusted to be a request.
    let closes = cx.attempts > 0 || cause.breaks_http();
    if closes {
        session.set_keepalive(None);
    }
    let mut answer = explain(session, cx, &cause);
    if cause == Cause::MethodRefused {
        answer.headers.push((http::header::ALLOW, SERVED));
    }
    let is_written = write(session, cx, answer).await.is_ok();
    if closes && session.as_downstream().as_http1().is_some() {
        session.as_downstream_mut().shutdown().await;
    }
    FailToProxy { error_code: cause.status().as_u16(), can_reuse_downstream: is_written && !closes }
}

/// Whether no other head may follow: after a 101 the connection no longer speaks HTTP.
pub(super) fn is_final(status: StatusCode) -> bool {
    !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS
}

/// Writes an answer, after the filters that saw the request have seen it.
async fn write(session: &mut Session, cx: &mut RequestCx, answer: Answer) -> Result<()> {
    let body = answer.body.clone();
    let mut head = head_of(answer)?;
    if let Err(cause) = chain::on_response(session.req_header(), &mut head, cx) {
        // The filters are left out of the answer that tells of their failure.
        let failed = explain(session, cx, &cause);
        cx.cause.get_or_insert(cause);
        let body = failed.body.clone();
        return send(session, head_of(failed)?, body).await;
    }
    send(session, head, body).await
}

fn head_of(answer: Answer) -> Result<ResponseHeader> {
    let mut head = ResponseHeader::build(answer.status, Some(answer.headers.len() + 4))?;
    for (name, value) in answer.headers {
        head.append_header(name, value)?;
    }
    if may_have_body(answer.status) {
        head.insert_header(CONTENT_LENGTH, HeaderValue::from(answer.body.len()))?;
    }
    Ok(head)
}

/// Whether what is left of the body is rather read and dropped than the connection closed over it: it is short, and
/// its client is not waiting to be asked for it.
fn is_cheap_to_drain(head: &RequestHeader) -> bool {
    const SHORT: u64 = 16 * 1024;
    let is_asked_for = head.headers.contains_key(EXPECT);
    !is_asked_for && content_length(&head.headers).is_some_and(|length| length <= SHORT)
}

fn may_have_body(status: StatusCode) -> bool {
    status != StatusCode::NO_CONTENT && status != StatusCode::NOT_MODIFIED
}

async fn send(session: &mut Session, head: ResponseHeader, body: bytes::Bytes) -> Result<()> {
    let closes = !is_cheap_to_drain(session.req_header());
    session.as_downstream_mut().set_close_on_response_before_downstream_finish(closes);
    if is_leaving(session) {
        session.set_keepalive(None);
    }
    let has_body =
        may_have_body(head.status) && !body.is_empty() && session.req_header().method != Method::HEAD;
    if !has_body && let ServerSession::Custom(stream) = session.as_downstream_mut() {
        // So that the head itself ends the stream, as clients of gRPC want it, and nobody has to do so later.
        return stream.write_response_header(Box::new(head), true).await;
    }
    session.write_response_header(Box::new(head), !has_body).await?;
    if has_body {
        session.write_response_body(Some(body), true).await?;
    }
    Ok(())
}
