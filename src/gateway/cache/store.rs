//! Whether an endpoint's answer is stored, and what a failure has the stored one do.

use std::time::SystemTime;

use http::StatusCode;
use http::header::{AGE, DATE, SET_COOKIE};
use pingora_cache::{CacheMeta, NoCacheReason, RespCacheable};
use pingora_core::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;

use crate::cache::rules::{
    Control, Judgement, Received, Refusal, judge as judge_answer, merge, strip_unstorable,
};
use crate::runtime::Cause;
use crate::types::content_length;

use super::super::cx::RequestCx;
use super::super::retry;
use super::asked::{Names, depends_on, is_overruling, is_personal, told_otherwise};
use super::{CacheCx, is_outage};

/// An attempt begins whose answer may be stored. Endpoints that let fields overrule what the request line says would give
/// an answer to another request; what a trusted proxy says in them is known.
pub(in crate::gateway) fn begin_attempt(session: &Session, request: &mut RequestHeader, cx: &mut RequestCx) {
    let Some(cache) = &mut cx.cache else { return };
    cache.requested = SystemTime::now();
    cache.not_modified = None;
    if session.cache.enabled() || session.cache.bypassing() {
        strip_overruling(request, cx);
    }
}

/// Takes off what a client may not say that is not trusted.
pub(super) fn strip_overruling(request: &mut RequestHeader, cx: &RequestCx) {
    if cx.way.is_by_proxy() {
        return;
    }
    let overruling: Names = request.headers.keys().filter(|name| is_overruling(name)).cloned().collect();
    for name in &overruling {
        request.remove_header(name);
    }
}

/// The request of the attempt is as the endpoint will see it.
pub(in crate::gateway) fn note_request(session: &Session, request: &RequestHeader, cx: &mut RequestCx) {
    if cx.cache.is_none() || !(session.cache.enabled() || session.cache.bypassing()) {
        return;
    }
    let told_otherwise = told_otherwise(session.req_header(), request, cx);
    if let Some(cache) = &mut cx.cache {
        cache.told_otherwise = told_otherwise;
    }
}

/// Takes in the head of an endpoint's final answer: word that nothing has changed is kept for [`judge`], and a failure in
/// whose place a stored answer may be given ends the attempt.
pub(in crate::gateway) fn take(
    session: &Session,
    response: &ResponseHeader,
    cx: &mut RequestCx,
) -> Result<()> {
    let Some(cache) = &mut cx.cache else { return Ok(()) };
    let is_failure = matches!(response.status.as_u16(), 500 | 502..=504);
    if is_failure && cache.stand_in.is_some() {
        return Err(cx.fail(Cause::UpstreamStatus));
    }
    if !session.cache.enabled() {
        return Ok(());
    }
    if response.status == StatusCode::NOT_MODIFIED {
        cache.not_modified = Some(response.clone());
    }
    if is_failure && session.cache.can_serve_stale_error() {
        return Err(cx.fail(Cause::UpstreamStatus));
    }
    Ok(())
}

/// Whether the answer is stored, and how long it is fresh.
pub(in crate::gateway) fn judge(
    session: &Session,
    response: &ResponseHeader,
    cx: &mut RequestCx,
) -> RespCacheable {
    let is_personal = is_personal(session.req_header(), cx);
    let Some(cache) = &mut cx.cache else {
        return RespCacheable::Uncacheable(NoCacheReason::InternalError);
    };
    let now = SystemTime::now();
    let not_modified = cache.not_modified.take();
    let head = match (&not_modified, session.cache.maybe_cache_meta()) {
        (Some(not_modified), Some(stored)) => {
            let shares_cookies = cache.caching.plan.store_set_cookie;
            if !shares_cookies {
                cache.cookies = not_modified.headers.get_all(SET_COOKIE).iter().cloned().collect();
            }
            updated(stored.response_header(), not_modified, shares_cookies)
        }
        _ => Some(response.clone()),
    };
    let judged = head.map(|head| (judge_head(&head, cache, is_personal, now), head));
    if not_modified.is_some() {
        // The rest is between the client and the store.
        retry::let_go(cx);
    }
    match judged {
        Some((Ok(terms), head)) => terms(head),
        Some((Err(reason), _)) => RespCacheable::Uncacheable(reason),
        None => RespCacheable::Uncacheable(NoCacheReason::InternalError),
    }
}

/// The terms on which a head is stored, which are still to be put to it, or why it is not.
pub(super) fn judge_head(
    head: &ResponseHeader,
    cache: &CacheCx,
    is_personal: bool,
    now: SystemTime,
) -> Result<impl FnOnce(ResponseHeader) -> RespCacheable + use<>, NoCacheReason> {
    let plan = &cache.caching.plan;
    if cache.wishes.no_store {
        return Err(NoCacheReason::Deferred);
    }
    // What was cut off would look whole, and what depends on the edge's own words would be found without them.
    if cache.ends_by_closing || depends_on(&head.headers, &cache.told_otherwise) {
        return Err(NoCacheReason::OriginNotCache);
    }
    let length = content_length(&head.headers).and_then(|length| usize::try_from(length).ok());
    if length.is_some_and(|length| length > cache.caching.cache.max_object) {
        return Err(NoCacheReason::ResponseTooLarge);
    }
    let received = Received {
        status: head.status,
        headers: &head.headers,
        requested: cache.requested,
        received: now,
        is_authorized: is_personal,
    };
    let terms = match judge_answer(&received, plan) {
        Judgement::Store(terms) => terms,
        Judgement::Refuse(Refusal::Client) => return Err(NoCacheReason::Deferred),
        Judgement::Refuse(Refusal::Origin) => return Err(NoCacheReason::OriginNotCache),
    };
    let control = Control::of(&head.headers, &plan.control_fields);
    let unstorable = strip_unstorable(&head.headers, &control);
    Ok(move |mut head: ResponseHeader| {
        for name in unstorable.iter().chain([&AGE]) {
            head.remove_header(name);
        }
        if !head.headers.contains_key(DATE) && head.insert_header(DATE, httpdate::fmt_http_date(now)).is_err()
        {
            return RespCacheable::Uncacheable(NoCacheReason::InternalError);
        }
        let mut meta = CacheMeta::new(terms.fresh_until, now, terms.while_revalidate, terms.if_error, head);
        meta.set_epoch_override(terms.epoch);
        RespCacheable::Cacheable(meta)
    })
}

/// A stored head with what a 304 says anew (RFC 9111 §4.3.4); `None` where it has no room for that.
pub(super) fn updated(
    stored: &ResponseHeader,
    not_modified: &ResponseHeader,
    shares_cookies: bool,
) -> Option<ResponseHeader> {
    let mut head = stored.clone();
    // Of the time of the answer before nothing is left.
    head.remove_header(&DATE);
    for (name, values) in
        merge(&not_modified.headers).filter(|(name, _)| shares_cookies || **name != SET_COOKIE)
    {
        head.remove_header(name);
        for value in values {
            head.append_header(name.clone(), value.clone()).ok()?;
        }
    }
    Some(head)
}

/// Whether a stored answer that is out of date is given: while another request fetches, or since no endpoint gives one.
pub(in crate::gateway) fn serves_stale(session: &Session, cx: &mut RequestCx, error: Option<&Error>) -> bool {
    if error.is_none() {
        return session.cache.is_cache_locked();
    }
    // What endpoints answer comes to `take`, once it is known that there is no other attempt.
    let is_due = cx.cause.as_ref().is_some_and(is_outage);
    if is_due {
        cx.cause = None;
        cx.watchdog = None;
        cx.clock = None;
        if let Some(lease) = cx.lease.take() {
            cx.tried.push(lease.endpoint().clone());
        }
    }
    is_due
}
