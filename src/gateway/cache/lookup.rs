//! Whether there is a stored answer for a request, and whether it will do.

use std::sync::Arc;
use std::time::SystemTime;

use http::header::{
    AGE, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, RANGE, TRANSFER_ENCODING,
};
use http::{HeaderName, Method};
use pingora_cache::key::HashBinary;
use pingora_cache::{CacheKey, CacheMeta, CacheOptionOverrides, ForcedFreshness, NoCacheReason};
use pingora_core::Result;
use pingora_http::{RequestHeader, ResponseHeader};
use pingora_proxy::Session;
use tokio::time::Instant;

use crate::cache::rules::{Forwarded, VaryOf, Wishes, vary_of};
use crate::cache::{CacheResult, Caching, PREDICTOR, STORAGE, lock};
use crate::hooks::Stored;
use crate::runtime::Cause;
use crate::types::content_length;

use super::super::cx::RequestCx;
use super::super::downstream::Downstream;
use super::super::stored::Hit;
use super::super::upstream;
use super::asked::{is_passed_by, is_personal, key_of};
use super::{CacheCx, is_outage, refresh};

/// Has a request look for a stored answer, if it is one that may have one.
pub(in crate::gateway) fn enable(session: &mut Session, cx: &mut RequestCx) {
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

/// The stored answer for a request without a body, if there is one at hand that will do as it is, perhaps while it is
/// refreshed. All others are Pingora's to look for: those of which a client has a part or an earlier state, and those that have
/// to be fetched or asked for again.
pub(in crate::gateway) fn stored(client: &impl Downstream, cx: &mut RequestCx) -> Option<Hit> {
    let head = client.request();
    let caching = cx.extensions.get::<Arc<Caching>>()?;
    if !is_meant(head, caching, cx) || wants_part(head) {
        return None;
    }
    let caching = caching.clone();
    let key = key_of(head, cx, &caching)?;
    let now = SystemTime::now();
    let found = caching.cache.find(&key, &head.headers, now)?;
    let is_stale = found.stale_for.is_some();
    if is_stale || caching.plan.honours_clients {
        let wishes = Wishes::of(&head.headers);
        if caching.plan.honours_clients && !wishes.accept(found.age, found.left) {
            return None;
        }
        if is_stale {
            let old = (&found.head().headers, found.age);
            if !refresh::is_possible(head, wishes, cx, &caching, old) {
                return None;
            }
            refresh::begin(client, &caching.cache.key(key), cx, &caching);
        }
    }
    let hit = Hit::new(found, &head.method, caching.plan.tells_status);
    // What its client wishes besides is of no account any more.
    let mut cache = Box::new(CacheCx::new(caching, Wishes::default(), now));
    cache.is_stored = true;
    cache.result = if is_stale { CacheResult::Stale } else { CacheResult::Hit };
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
pub(in crate::gateway) fn key(session: &Session, cx: &RequestCx) -> Option<CacheKey> {
    let caching = &cx.cache.as_ref()?.caching;
    Some(caching.cache.key(key_of(session.req_header(), cx, caching)?))
}

/// The variant of a stored answer that a request asks for.
pub(in crate::gateway) fn variance(
    meta: &CacheMeta,
    cx: &RequestCx,
    request: &RequestHeader,
) -> Option<HashBinary> {
    match vary_of(meta.headers()) {
        VaryOf::Fields(fields) if !fields.is_empty() => {
            Some(cx.cache.as_ref()?.caching.cache.variance(&fields, &request.headers))
        }
        _ => None,
    }
}

/// There is a stored answer: whether it will do.
pub(in crate::gateway) fn on_find(
    session: &Session,
    meta: &CacheMeta,
    is_fresh: bool,
    cx: &mut RequestCx,
) -> Option<ForcedFreshness> {
    let cache = cx.cache.as_mut()?;
    if !is_fresh {
        let is_given = meta.serve_stale_while_revalidate(SystemTime::now());
        let (caching, wishes) = (cache.caching.clone(), cache.wishes);
        let old = (meta.headers(), meta.age());
        if is_given && refresh::is_possible(session.req_header(), wishes, cx, &caching, old) {
            refresh::begin(session, session.cache.cache_key(), cx, &caching);
            cx.cache.as_mut()?.is_refreshed = true;
            return Some(ForcedFreshness::ForceFresh);
        }
        let cache = cx.cache.as_mut()?;
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
pub(in crate::gateway) fn on_miss(session: &mut Session, cx: &mut RequestCx) {
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
pub(in crate::gateway) async fn reserve(session: &mut Session, cx: &mut RequestCx) -> Result<(), Cause> {
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
