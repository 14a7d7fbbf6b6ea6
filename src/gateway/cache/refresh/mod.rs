//! Refreshes old answers while clients get them (RFC 5861 §3).
//!
//! The request for that is the edge's own. It is [made](request) of the one that has found the old answer, as the filters left
//! it, without what is of its client alone. What the endpoint says is [stored](old) as if a client had asked for it; if that
//! comes to nothing, the old answer stays as long as it may be given.

mod failure;
mod old;
mod request;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use pingora_cache::{CacheKey, RespCacheable};
use pingora_http::{RequestHeader, ResponseHeader};
use tokio::time::{Instant, timeout_at};

use crate::cache::rules::Wishes;
use crate::cache::{Caching, Turn};
use crate::config::spec::SendProxyProtocol;
use crate::pools::{self, Lease, Pool, Reserved, Streamed, StreamedLimits, Terms, send_streamed};
use crate::runtime::{Cause, Stage, WeakEnding};
use crate::types::with_random;

use super::super::cx::RequestCx;
use super::super::downstream::Downstream;
use super::super::relay;
use super::CacheCx;
use super::asked::{is_personal, told_otherwise};
use super::store::{judge_head, updated};
use failure::Failure;
use old::Old;

/// A refresh that is under way.
struct Refresh {
    key: CacheKey,
    /// The request that found the old answer, and the address of its connection.
    asked: RequestHeader,
    cx: RequestCx,
    cache: CacheCx,
}

/// What a refresh may take where its pool sets no limit.
const LONGEST: Duration = Duration::from_secs(600);

/// Whether an old answer with these headers and of this age may be given for a request, and refreshed by one that is made of it.
/// What depends on its client the edge cannot ask for.
pub(super) fn is_possible(
    head: &RequestHeader,
    wishes: Wishes,
    cx: &RequestCx,
    caching: &Caching,
    (stored, age): (&HeaderMap, Duration),
) -> bool {
    let is_plain = |pool: &Arc<Pool>| pool.config().send_proxy_protocol == SendProxyProtocol::Off;
    let is_wanted = !wishes.no_store && (!caching.plan.honours_clients || wishes.accept(age, Duration::ZERO));
    caching.cache.most_refreshes > 0
        && is_wanted
        && !is_personal(head, cx)
        && cx.pool().is_some_and(is_plain)
        && request::says_all(head, stored, &caching.plan)
}

/// Has the old answer at the place of a key refreshed, unless somebody does so, or there is no room or no time for it.
pub(super) fn begin(client: &impl Downstream, key: &CacheKey, cx: &RequestCx, caching: &Arc<Caching>) {
    let connection =
        client.connection().filter(|connection| !connection.ending().has_reached(Stage::Draining));
    let Some(connection) = connection else { return };
    let Some(turn) = caching.cache.begin_refresh(key, Instant::now()) else { return };
    let refresh = Refresh {
        // What is removed from here on stays so.
        key: caching.cache.key(key.primary_key().to_vec()),
        asked: client.request().clone(),
        cx: cx.for_own_request(),
        cache: CacheCx::new(caching.clone(), Wishes::default(), SystemTime::now()),
    };
    // It is no reason to wait for it that it is under way.
    tokio::spawn(refresh.run(turn, connection.ending().downgrade()));
}

impl Refresh {
    async fn run(mut self, turn: Turn, mut ending: WeakEnding) {
        let refreshed = tokio::select! {
            biased;
            () = ending.reached(Stage::Draining) => return,
            refreshed = self.refresh() => refreshed,
        };
        match refreshed {
            Ok(()) => turn.done(),
            Err(Failure { reason, retry_after, .. }) => {
                with_random(|random| turn.fail(&reason, retry_after, Instant::now(), random));
            }
        }
    }

    async fn refresh(&mut self) -> Result<(), Failure> {
        let Some(old) = Old::find(&self.cache.caching.cache, &self.key, &self.asked.headers).await else {
            return Ok(());
        };
        let Some(pool) = self.cx.pool().cloned() else { return Ok(()) };
        let total = Some(self.cx.total()).filter(|total| !total.is_zero()).unwrap_or(LONGEST);
        let now = Instant::now();
        let until = now + total;
        let terms = Terms { pinned: None, now, until: Some(until) };
        let reserved = pools::reserve(&pool, |now| self.cx.pick_cx(&self.asked, now), terms).await;
        let Reserved { lease, .. } = reserved.map_err(|why| Failure::ours(Cause::from(why).word()))?;
        self.cx.lease = Some(lease);
        let request = self.request(&old)?;
        self.cache.told_otherwise = told_otherwise(&self.asked, &request, &self.cx);
        let Some(lease) = self.cx.lease.take() else { return Ok(()) };
        let began = Instant::now();
        let exchange = timeout_at(until, self.exchange(&pool, &lease, &request, old));
        let done = exchange.await.unwrap_or_else(|_| Err(Failure::late(began.elapsed() * 2 >= total)));
        self.cx.uncounted.settle(lease.endpoint());
        match &done {
            Ok(()) => pool.succeeded(&lease, Instant::now()),
            Err(Failure { fault: Some(fault), retry_after, .. }) => {
                pool.failed(&lease, *fault, *retry_after, Instant::now());
            }
            Err(_) => {}
        }
        done
    }

    /// Asks the endpoint, and keeps what it says.
    async fn exchange(
        &mut self,
        pool: &Pool,
        lease: &Lease,
        request: &RequestHeader,
        old: Old,
    ) -> Result<(), Failure> {
        let options = &lease.endpoint().peer().options;
        let limits = StreamedLimits {
            connect: options.connection_timeout,
            handshake: options.total_connection_timeout,
            first_byte: pool.timeouts().first_byte.get(),
        };
        let began = Instant::now();
        self.cache.requested = SystemTime::now();
        let answered = send_streamed(lease.endpoint(), request, limits).await;
        let mut answer = answered.map_err(|unanswered| Failure::broken(&unanswered.error))?;
        let status = answer.head.status;
        if status.is_server_error() {
            return Err(Failure::status(&answer.head));
        }
        let now = Instant::now();
        pool.answered(lease, now.saturating_duration_since(began), now);
        self.cache.ends_by_closing = relay::unbind(&mut answer.head);
        relay::settle_final(&mut answer.head)
            .map_err(|_| Failure::invalid("an answer in no form that is known"))?;
        match status {
            StatusCode::NOT_MODIFIED => self.renew(answer, old).await,
            StatusCode::TOO_MANY_REQUESTS => Err(Failure::status(&answer.head)),
            _ => self.replace(answer, old).await,
        }
    }

    /// The old answer is still the same.
    async fn renew(&mut self, mut answer: Streamed, mut old: Old) -> Result<(), Failure> {
        let Some(meta) = old.meta().filter(|_| old.has_validator()) else {
            return Err(Failure::invalid("304, which nobody asked for"));
        };
        let shares_cookies = self.cache.caching.plan.store_set_cookie;
        let head = updated(meta.response_header(), &answer.head, shares_cookies);
        match head.map(|head| self.judge(head)) {
            Some(RespCacheable::Cacheable(meta)) => {
                old.renew(meta).await.map_err(|error| Failure::unstored(&error))?
            }
            _ => self.forget(&old),
        }
        while self.next_piece(&mut answer).await?.is_some() {}
        answer.release();
        Ok(())
    }

    /// There is another, or none any more.
    async fn replace(&mut self, mut answer: Streamed, mut old: Old) -> Result<(), Failure> {
        let RespCacheable::Cacheable(meta) = self.judge(answer.head.clone()) else {
            self.forget(&old);
            return Ok(());
        };
        let caching = self.cache.caching.clone();
        let cache = &caching.cache;
        old.replace(meta, cache, &self.asked.headers).await.map_err(|error| Failure::unstored(&error))?;
        let mut length = 0;
        while let Some(piece) = self.next_piece(&mut answer).await? {
            length += piece.len();
            if length > cache.max_object {
                self.forget(&old);
                return Ok(());
            }
            old.write(piece).await.map_err(|error| Failure::unstored(&error))?;
        }
        answer.release();
        old.finish().await.map_err(|error| Failure::unstored(&error))
    }

    async fn next_piece(&mut self, answer: &mut Streamed) -> Result<Option<Bytes>, Failure> {
        let piece = answer.piece().await.map_err(|error| Failure::broken(&error))?;
        self.cx.uncounted.received(piece.as_ref().map_or(0, Bytes::len) as u64);
        Ok(piece)
    }

    fn judge(&self, head: ResponseHeader) -> RespCacheable {
        match judge_head(&head, &self.cache, false, SystemTime::now()) {
            Ok(terms) => terms(head),
            Err(reason) => RespCacheable::Uncacheable(reason),
        }
    }

    /// The endpoint has an answer that is not stored. What is stored is known to be out of date by that.
    fn forget(&self, old: &Old) {
        self.cache.caching.cache.forget(old.key());
    }
}
