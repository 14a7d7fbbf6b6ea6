//! What clients get of stored answers, and what they are told of the cache.

use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::SET_COOKIE;
use pingora_cache::CachePhase;
use pingora_http::ResponseHeader;
use pingora_proxy::{RangeType, Session};

use crate::cache::rules::{CacheStatus, Forwarded, invalidates, targets};
use crate::cache::{CacheResult, is_to_be_stored};
use crate::hooks::Stored;

use super::super::cx::RequestCx;
use super::asked::{key_of, key_of_other};
use super::{CacheCx, is_outage, part};

/// Whether the client has the answer already. One that is on its way into the store it gets whole, as with ranges: Pingora
/// ends with what the client gets.
pub(in crate::gateway) fn is_not_modified(session: &Session, response: &ResponseHeader) -> bool {
    !is_fetched(session) && part::is_not_modified(session.req_header(), response)
}

fn is_fetched(session: &Session) -> bool {
    matches!(session.cache.phase(), CachePhase::Miss | CachePhase::Expired)
}

/// Which part of the answer the client gets.
pub(in crate::gateway) fn range(session: &Session, response: &mut ResponseHeader) -> RangeType {
    if is_fetched(session) {
        return RangeType::None;
    }
    part::choose(session.req_header(), response)
}

/// Tells what the cache did, and removes what the exchange may have put out of date; `None` when the head has no room.
pub(in crate::gateway) fn hand_on(
    session: &Session,
    response: &mut ResponseHeader,
    cx: &mut RequestCx,
) -> Option<()> {
    if cx.cache.is_none() {
        return Some(());
    }
    invalidate(session, response, cx);
    let cache = cx.cache.as_mut()?;
    let (status, result) = status_of(session, cache);
    cache.is_stored = matches!(
        session.cache.phase(),
        CachePhase::Hit
            | CachePhase::Stale
            | CachePhase::StaleUpdating
            | CachePhase::Revalidated
            | CachePhase::RevalidatedNoCache(_)
    );
    cache.result = result;
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
pub(in crate::gateway) fn stand_in(cx: &mut RequestCx) -> Option<ResponseHeader> {
    let is_due = cx.cause.as_ref().is_some_and(is_outage);
    let cache = cx.cache.as_mut().filter(|_| is_due)?;
    let mut head = *cache.stand_in.take()?;
    cache.is_stored = true;
    cache.result = CacheResult::Stale;
    let status = CacheStatus { forwarded: Some(Forwarded::Stale), ..CacheStatus::default() };
    cache.tell(status, &mut head)?;
    cx.extensions.insert(Stored);
    cx.cause = None;
    Some(head)
}

fn status_of(session: &Session, cache: &CacheCx) -> (CacheStatus, CacheResult) {
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
            let is_fresh = phase == CachePhase::Hit && !cache.is_refreshed;
            let hit = CacheStatus { hit: true, ttl: Some(ttl()), forwarded: None, ..status };
            (hit, if is_fresh { CacheResult::Hit } else { CacheResult::Stale })
        }
        CachePhase::Stale => (CacheStatus { ttl: Some(ttl()), ..status }, CacheResult::Stale),
        CachePhase::Revalidated | CachePhase::RevalidatedNoCache(_) => {
            status.forwarded_status = Some(StatusCode::NOT_MODIFIED);
            (CacheStatus { ttl: Some(ttl()), ..status }, CacheResult::Refresh)
        }
        CachePhase::Miss | CachePhase::Expired => {
            let stored = is_to_be_stored(session.cache.cache_key());
            (CacheStatus { stored, ..status }, CacheResult::Miss)
        }
        _ if cache.forwarded == Some(Forwarded::Bypass) => (status, CacheResult::Bypass),
        _ => (status, CacheResult::Miss),
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
