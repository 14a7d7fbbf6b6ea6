//! Answers made at the edge.

use http::header::{ALLOW, LOCATION};
use http::{HeaderValue, StatusCode};
use pingora_core::{Error, Result};
use pingora_http::RequestHeader;
use pingora_proxy::{FailToProxy, Session};
use tokio::time::{Instant, sleep};

use crate::files::{self, Files, Refused};
use crate::filters::StrippedWhole;
use crate::hooks::{Answer, Body, Flow, Rejection, RequestVars, RequestView};
use crate::runtime::{Action, Cause, ErrorBody, error_answer};

use super::admit::SERVED;
use super::cx::{RequestCx, filter_parts};
use super::downstream::{Downstream, within};
use super::failure::{cause_of, is_after_answer};
use super::serve::{write, write_parts};
use super::{cache, grpc};

/// Goes where the filters sent the request: true when it is answered, false when an endpoint is to serve it.
pub(super) async fn follow(session: &mut impl Downstream, cx: &mut RequestCx, flow: Flow) -> Result<bool> {
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
async fn act(session: &mut impl Downstream, cx: &mut RequestCx) -> Result<Option<Answer>, Cause> {
    if cx.pool.is_some() {
        return Ok(None);
    }
    if let Some(Action::Files(files)) = cx.route().map(|route| &route.action) {
        let files = files.clone();
        let stripped = cx.extensions.get().map(|StrippedWhole(path)| path.as_str());
        return serve_file(session, cx.due(), &files, stripped).await.map(Some);
    }
    if let Some(Action::Respond(respond)) = cx.route().map(|route| &route.action)
        && !respond.delay.is_zero()
    {
        within(session, cx.due(), sleep(respond.delay)).await?;
    }
    let Some((filter_cx, route, host)) = filter_parts(cx, Instant::now()) else {
        return Err(Cause::Internal);
    };
    let request = RequestView::new(session.request_mut(), host);
    let vars = RequestVars::of_request(&request, &filter_cx);
    let value = |template| {
        vars.header_value(template).map_err(|error| Cause::HookFailed(error.status(), error.cause()))
    };
    match &route.action {
        Action::Pool(_) | Action::Split(_) | Action::Files(_) => Err(Cause::Internal),
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

async fn serve_file(
    session: &impl Downstream,
    until: Option<Instant>,
    files: &Files,
    stripped: Option<&str>,
) -> Result<Answer, Cause> {
    let head = session.request();
    let request = files::Request {
        method: &head.method,
        path: head.uri.path(),
        stripped,
        query: head.uri.query(),
        headers: &head.headers,
    };
    within(session, until, files.answer(request)).await?.map_err(|refused| match refused {
        Refused::Method => Cause::MethodRefused,
        Refused::NotFound => Cause::NoFile,
        Refused::Unreadable => Cause::FileUnreadable,
        Refused::TimedOut => Cause::FileTimeout,
    })
}

fn refusal(session: &impl Downstream, cx: &mut RequestCx, rejection: Rejection) -> Answer {
    let cause = Cause::Rejected(rejection.status, rejection.cause);
    let mut answer = explain(session, cx, &cause);
    answer.headers.extend(rejection.headers);
    cx.cause = Some(cause);
    answer
}

/// The answer for an error, in the form that the client understands.
pub(super) fn explain(session: &impl Downstream, cx: &mut RequestCx, cause: &Cause) -> Answer {
    cx.is_refused = true;
    let headers = &session.request().headers;
    let form = ErrorBody::accepted_by(headers);
    cx.grpc_status = (form == ErrorBody::Grpc).then(|| cause.grpc_status());
    let answer = error_answer(cause, form, cx.request_id());
    match vars_of(session.request(), cx) {
        Some(vars) if form != ErrorBody::Grpc => {
            answer.on_page(&cx.snapshot.error_pages, cause, headers, &vars).into()
        }
        _ => answer.into(),
    }
}

/// What is known of a request that fails, however far it came.
fn vars_of<'a>(request: &'a RequestHeader, cx: &'a RequestCx) -> Option<RequestVars<'a>> {
    let pool = cx.shown_pool.map(|pool| &cx.snapshot.pool_names[pool.0]);
    Some(RequestVars {
        request,
        host: cx.host.as_str(),
        facts: cx.facts.as_ref()?,
        route: cx.route().map(|route| &route.name),
        pool,
        endpoint: cx.lease.as_ref().map(|lease| &**lease.endpoint().address()),
        variables: &cx.variables,
    })
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
    let is_written = match cache::stand_in(cx) {
        Some(head) => write_parts(session, cx, head, Body::default()).await.is_ok(),
        None => tell(session, cx, &cause).await.is_ok(),
    };
    if closes && session.as_downstream().as_http1().is_some() {
        session.as_downstream_mut().shutdown().await;
    }
    FailToProxy { error_code: cause.status().as_u16(), can_reuse_downstream: is_written && !closes }
}

/// Writes the answer for an error.
pub(super) async fn tell(session: &mut impl Downstream, cx: &mut RequestCx, cause: &Cause) -> Result<()> {
    let mut answer = explain(session, cx, cause);
    if *cause == Cause::MethodRefused {
        answer.headers.push((ALLOW, served(cx)));
    }
    write(session, cx, answer).await
}

/// The methods that are served where the request went.
fn served(cx: &RequestCx) -> HeaderValue {
    match cx.route().map(|route| &route.action) {
        Some(Action::Files(_)) => HeaderValue::from_static("GET, HEAD"),
        _ => SERVED,
    }
}

/// Whether no other head may follow: after a 101 the connection no longer speaks HTTP.
pub(super) fn is_final(status: StatusCode) -> bool {
    !status.is_informational() || status == StatusCode::SWITCHING_PROTOCOLS
}
