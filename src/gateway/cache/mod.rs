//! What the cache of a route does to its requests.

mod asked;
mod part;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::header::{
    AGE, DATE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, SET_COOKIE,
    TRANSFER_ENCODING,
};
use http::{HeaderName, HeaderValue, Method, StatusCode};
use pingora_cache::key::HashBinary;
use pingora_cache::{
    CacheKey, CacheMeta, CacheOptionOverrides, CachePhase, ForcedFreshness, NoCacheReason, RespCacheable,
};
use pingora_core::{Error, Result};
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::{RangeType, Session};
use tokio::time::Instant;

use crate::cache::rules::{
    CacheStatus, Control, Forwarded, Judgement, Received, Refusal, VaryOf, Wishes, invalidates,
    judge as judge_answer, merge, strip_unstorable, targets, vary_of,
};
use crate::cache::{Caching, PREDICTOR, STORAGE, is_to_be_stored, lock};
use crate::hooks::Stored;
use crate::runtime::Cause;
use crate::types::content_length;

use super::cx::RequestCx;
use super::stored::{Hit, tell};
use super::{retry, upstream};
use asked::{
    Names, depends_on, is_overruling, is_passed_by, is_personal, key_of, key_of_other, told_otherwise,
};

/// What is known of a request whose route has a cache.
pub(super) struct CacheCx {
    caching: Arc<Caching>,
    wishes: Wishes,
    /// Why it goes to an endpoint, if it does.
    forwarded: Option<Forwarded>,
    /// When the running attempt began, by the clock of dates.
    requested: SystemTime,
    /// The endpoint's word that the stored answer is still the same.
    not_modified: Option<ResponseHeader>,
    /// The cookies that came with it, which are for this client alone.
    cookies: Vec<HeaderValue>,
    /// Of which fields the endpoint is told other than what the request says.
    told_otherwise: Names,
    /// The head of a stored answer that may stand in for one to HEAD, if no endpoint gives any.
    stand_in: Option<Box<ResponseHeader>>,
    /// Whether only the end of its connection tells where the answer ends.
    pub(super) ends_by_closing: bool,
    /// Why there is no endpoint, where a stored answer may stand in for it.
    pub(super) unreserved: Option<Cause>,
    /// Whether a stored answer is given.
    pub(super) is_stored: bool,
    /// What the log says.
    pub(super) word: &'static str,
}

impl CacheCx {
    fn new(caching: Arc<Caching>, wishes: Wishes, now: SystemTime) -> Self {
        Self {
            caching,
            wishes,
            forwarded: Some(Forwarded::Bypass),
            requested: now,
            not_modified: None,
            cookies: Vec::new(),
            told_otherwise: Names::new(),
            stand_in: None,
            ends_by_closing: false,
            unreserved: None,
            is_stored: false,
            word: "bypass",
        }
    }

    /// Tells in an answer what the cache did, if it is to; `None` when the head has no room.
    fn tell(&self, status: CacheStatus, response: &mut ResponseHeader) -> Option<()> {
        if self.caching.plan.tells_status { tell(status, response) } else { Some(()) }
    }
}

// === The request ===

/// Has a request look for a stored answer, if it is one that may have one.
pub(super) fn enable(session: &mut Session, cx: &mut RequestCx) {
    let Some(caching) = cx.extensions.get::<Arc<Caching>>().cloned() else { return };
    let head = session.req_header();
    let is_meant = is_meant(head, &caching, cx);
    let has_body = head.headers.contains_key(TRANSFER_ENCODING)
        || content_length(&head.headers).is_some_and(|length| length > 0);
    let wishes = Wishes::of(&head.headers);
    // Nobody waits for what is for one client alone.
    let is_shared = !wishes.no_store && (caching.plan.store_authorized || !is_personal(head, cx));
    let is_enabled = is_meant && !has_body && session.as_downstream_mut().is_body_empty();
    if is_enabled {
        let wait = caching.cache.lock_wait;
        let mut overrides = CacheOptionOverrides::default();
        overrides.wait_timeout = Some(wait);
        let lock = (is_shared && !wait.is_zero()).then(lock);
        session.cache.enable(&STORAGE, None, Some(&*PREDICTOR), lock, Some(overrides));
    }
    cx.cache = Some(Box::new(CacheCx::new(caching, wishes, SystemTime::now())));
}

/// Whether there may be a stored answer for a request, as far as its head tells.
fn is_meant(head: &RequestHeader, caching: &Caching, cx: &RequestCx) -> bool {
    matches!(head.method, Method::GET | Method::HEAD)
        && !is_passed_by(head, caching)
        && !cx.is_upgrade_req
        && cx.call.is_none()
        && cx.pool.is_some()
}

/// The stored answer for a request without a body, if there is one at hand that will do as it is. All others are Pingora's to
/// look for: those of which a client has a part or an earlier state, and those that have to be fetched or asked for again.
pub(super) fn stored(head: &RequestHeader, cx: &mut RequestCx) -> Option<Hit> {
    let caching = cx.extensions.get::<Arc<Caching>>()?;
    if !is_meant(head, caching, cx) || wants_part(head) {
        return None;
    }
    let caching = caching.clone();
    let key = key_of(head, cx, &caching)?;
    let now = SystemTime::now();
    let found = caching.cache.find(&key, &head.headers, now)?;
    let plan = &caching.plan;
    if plan.honours_clients && !Wishes::of(&head.headers).accept(found.age, found.left) {
        return None;
    }
    let hit = Hit::new(found, &head.method, plan.tells_status);
    // What its client wishes besides is of no account any more.
    let mut cache = Box::new(CacheCx::new(caching, Wishes::default(), now));
    cache.is_stored = true;
    cache.word = "hit";
    cx.cache = Some(cache);
    cx.extensions.insert(Stored);
    Some(hit)
}

/// Whether the client may be content with less than the whole answer.
fn wants_part(head: &RequestHeader) -> bool {
    const CONDITIONS: [HeaderName; 5] =
        [IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE];
    // Few names begin like that, and to look for one costs more than to pass over all.
    let is_condition = |name: &HeaderName| name.as_str().starts_with("if-") && CONDITIONS.contains(name);
    head.headers.keys().any(|name| *name == RANGE || is_condition(name))
}

/// What the request asks for.
pub(super) fn key(session: &Session, cx: &RequestCx) -> Option<CacheKey> {
    let caching = &cx.cache.as_ref()?.caching;
    Some(caching.cache.key(key_of(session.req_header(), cx, caching)?))
}

/// The variant of a stored answer that a request asks for.
pub(super) fn variance(meta: &CacheMeta, cx: &RequestCx, request: &RequestHeader) -> Option<HashBinary> {
    match vary_of(meta.headers()) {
        VaryOf::Fields(fields) if !fields.is_empty() => {
            Some(cx.cache.as_ref()?.caching.cache.variance(&fields, &request.headers))
        }
        _ => None,
    }
}

/// There is a stored answer: whether it will do.
pub(super) fn on_find(
    session: &Session,
    meta: &CacheMeta,
    is_fresh: bool,
    cx: &mut RequestCx,
) -> Option<ForcedFreshness> {
    let cache = cx.cache.as_mut()?;
    if !is_fresh {
        cache.forwarded = Some(Forwarded::Stale);
        if session.req_header().method != Method::HEAD {
            return None;
        }
        // It would be fetched by GET, with a body that nobody has asked for.
        cache.stand_in = meta.serve_stale_if_error(SystemTime::now()).then(|| aged(meta)).flatten();
        return Some(ForcedFreshness::ForceMiss);
    }
    let left = meta.fresh_until().duration_since(SystemTime::now()).unwrap_or_default();
    if cache.caching.plan.honours_clients && !cache.wishes.accept(meta.age(), left) {
        cache.forwarded = Some(Forwarded::Request);
        return Some(ForcedFreshness::ForceExpired);
    }
    None
}

/// The head of a stored answer as clients get it.
fn aged(meta: &CacheMeta) -> Option<Box<ResponseHeader>> {
    let mut head = Box::new(meta.response_header_copy());
    head.insert_header(AGE, meta.age().as_secs()).ok()?;
    Some(head)
}

/// There is none: the answer will be stored, if it may be. To HEAD an endpoint gives less than what could be, and Pingora ends
/// with the answer of its client: whoever asks for a part, or for what has changed, is given what the endpoint has for it.
pub(super) fn on_miss(session: &mut Session, cx: &mut RequestCx) {
    if let Some(cache) = &mut cx.cache
        && !session.cache.bypassing()
        && cache.forwarded != Some(Forwarded::Stale)
    {
        let is_variant = session.cache.cache_key().get_variance_key().is_some();
        cache.forwarded = Some(if is_variant { Forwarded::VaryMiss } else { Forwarded::UriMiss });
    }
    session.cache.cache_miss();
    if session.req_header().method == Method::HEAD || wants_part(session.req_header()) {
        session.cache.disable(NoCacheReason::Deferred);
    }
}

/// Takes an endpoint for a request that no stored answer was found for. Where there is none, one that is out of date may
/// have to do.
pub(super) async fn reserve(session: &mut Session, cx: &mut RequestCx) -> Result<(), Cause> {
    let Some(cache) = &cx.cache else { return upstream::reserve(session, cx).await };
    if cache.wishes.only_if_cached {
        return Err(Cause::NotCached);
    }
    let reserved = upstream::reserve(session, cx).await;
    // It may have waited for another that asked for the same.
    cx.reserved.get_or_insert_with(Instant::now);
    match (reserved, &mut cx.cache) {
        (Err(cause), Some(cache)) if is_outage(&cause) && session.cache.can_serve_stale_error() => {
            cache.unreserved = Some(cause);
            Ok(())
        }
        (reserved, _) => reserved,
    }
}

/// An attempt begins whose answer may be stored. Endpoints that let fields overrule what the request line says would give
/// an answer to another request; what a trusted proxy says in them is known.
pub(super) fn begin_attempt(session: &Session, request: &mut RequestHeader, cx: &mut RequestCx) {
    let Some(cache) = &mut cx.cache else { return };
    cache.requested = SystemTime::now();
    cache.not_modified = None;
    if (session.cache.enabled() || session.cache.bypassing()) && !cx.way.is_by_proxy() {
        let overruling: Names = request.headers.keys().filter(|name| is_overruling(name)).cloned().collect();
        for name in &overruling {
            request.remove_header(name);
        }
    }
}

/// The request of the attempt is as the endpoint will see it.
pub(super) fn note_request(session: &Session, request: &RequestHeader, cx: &mut RequestCx) {
    if cx.cache.is_none() || !(session.cache.enabled() || session.cache.bypassing()) {
        return;
    }
    let told_otherwise = told_otherwise(session.req_header(), request, cx);
    if let Some(cache) = &mut cx.cache {
        cache.told_otherwise = told_otherwise;
    }
}

// === The endpoint's answer ===

/// Takes in the head of an endpoint's final answer: word that nothing has changed is kept for [`judge`], and a failure in
/// whose place a stored answer may be given ends the attempt.
pub(super) fn take(session: &Session, response: &ResponseHeader, cx: &mut RequestCx) -> Result<()> {
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
pub(super) fn judge(session: &Session, response: &ResponseHeader, cx: &mut RequestCx) -> RespCacheable {
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
fn judge_head(
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
fn updated(
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
pub(super) fn serves_stale(session: &Session, cx: &mut RequestCx, error: Option<&Error>) -> bool {
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

/// Whether the endpoints are the reason, and not the request.
fn is_outage(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::NoEndpointFit
            | Cause::QueueFull
            | Cause::QueueTimeout
            | Cause::ConnectFailed
            | Cause::ConnectTimeout
            | Cause::TlsFailed(_)
            | Cause::ResponseTimeout
            | Cause::TotalTimeout
            | Cause::UpstreamClosed
            | Cause::UpstreamInvalid
            | Cause::UpstreamStatus
    )
}

// === The client's answer ===

/// Whether the client has the answer already. One that is on its way into the store it gets whole, as with ranges: Pingora
/// ends with what the client gets.
pub(super) fn is_not_modified(session: &Session, response: &ResponseHeader) -> bool {
    !is_fetched(session) && part::is_not_modified(session.req_header(), response)
}

fn is_fetched(session: &Session) -> bool {
    matches!(session.cache.phase(), CachePhase::Miss | CachePhase::Expired)
}

/// Which part of the answer the client gets.
pub(super) fn range(session: &Session, response: &mut ResponseHeader) -> RangeType {
    if is_fetched(session) {
        return RangeType::None;
    }
    part::choose(session.req_header(), response)
}

/// Tells what the cache did, and removes what the exchange may have put out of date; `None` when the head has no room.
pub(super) fn hand_on(session: &Session, response: &mut ResponseHeader, cx: &mut RequestCx) -> Option<()> {
    if cx.cache.is_none() {
        return Some(());
    }
    invalidate(session, response, cx);
    let cache = cx.cache.as_mut()?;
    let (status, word) = status_of(session, cache);
    cache.is_stored = matches!(
        session.cache.phase(),
        CachePhase::Hit
            | CachePhase::Stale
            | CachePhase::StaleUpdating
            | CachePhase::Revalidated
            | CachePhase::RevalidatedNoCache(_)
    );
    cache.word = word;
    for cookie in std::mem::take(&mut cache.cookies) {
        response.append_header(SET_COOKIE, cookie).ok()?;
    }
    cache.tell(status, response)?;
    if cache.is_stored {
        cx.extensions.insert(Stored);
    }
    Some(())
}

/// The stored answer for a HEAD that failed, if it is one that may be given for that.
pub(super) fn stand_in(cx: &mut RequestCx) -> Option<ResponseHeader> {
    let is_due = cx.cause.as_ref().is_some_and(is_outage);
    let cache = cx.cache.as_mut().filter(|_| is_due)?;
    let mut head = *cache.stand_in.take()?;
    cache.is_stored = true;
    cache.word = "stale";
    let status = CacheStatus { forwarded: Some(Forwarded::Stale), ..CacheStatus::default() };
    cache.tell(status, &mut head)?;
    cx.extensions.insert(Stored);
    cx.cause = None;
    Some(head)
}

fn status_of(session: &Session, cache: &CacheCx) -> (CacheStatus, &'static str) {
    let phase = session.cache.phase();
    let mut status = CacheStatus {
        collapsed: session.cache.lock_duration().is_some(),
        forwarded: cache.forwarded,
        ..CacheStatus::default()
    };
    let ttl = || {
        let until = session.cache.cache_meta().fresh_until();
        let now = SystemTime::now();
        let seconds = |span: Duration| i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
        until.duration_since(now).map_or_else(|past| -seconds(past.duration()), seconds)
    };
    match phase {
        CachePhase::Hit | CachePhase::StaleUpdating => {
            let is_fresh = phase == CachePhase::Hit;
            let hit = CacheStatus { hit: true, ttl: Some(ttl()), forwarded: None, ..status };
            (hit, if is_fresh { "hit" } else { "stale" })
        }
        CachePhase::Stale => (CacheStatus { ttl: Some(ttl()), ..status }, "stale"),
        CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => {
            status.forwarded_status = Some(StatusCode::NOT_MODIFIED);
            (CacheStatus { ttl: Some(ttl()), ..status }, "refresh")
        }
        CachePhase::Miss | CachePhase::Expired => {
            let stored = is_to_be_stored(session.cache.cache_key());
            (CacheStatus { stored, ..status }, "miss")
        }
        _ if cache.forwarded == Some(Forwarded::Bypass) => (status, "bypass"),
        _ => (status, "miss"),
    }
}

/// After a request that has changed something, what is stored of its target may be of yesterday (RFC 9111 §4.4). It is
/// removed where this route has stored it.
fn invalidate(session: &Session, response: &ResponseHeader, cx: &RequestCx) {
    let head = session.req_header();
    let Some(cache) = cx.cache.as_ref().filter(|_| invalidates(&head.method, response.status)) else {
        return;
    };
    let caching = &cache.caching;
    let own = key_of(head, cx, caching);
    let others = targets(cx.host.as_str(), head.uri.path(), &response.headers);
    let others = others.filter_map(|other| key_of_other(head, cx, caching, &other, None));
    for key in own.into_iter().chain(others) {
        caching.cache.remove(&key);
    }
}
