use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use crate::config::spec::StatusRange;
use crate::filters::own;
use crate::hooks::{
    BuildCx, BuildError, Filter, FilterCx, Flow, HookError, KeyParts, Rejection, RequestView, ResponseView,
};

use super::cluster::Cluster;
use super::counter::{Counter, Key, Shared};
use super::fields::{Quota, RATELIMIT, RATELIMIT_POLICY, policy, whole_seconds};
use super::{Decision, Limiter, RateLimitMode, RateLimitSettings, RateLimitVerdict};

/// The filter `rate_limit`.
///
/// A request that is over the rate gets 429 with `Retry-After`, `RateLimit-Policy` and `RateLimit`, and does not
/// count against the rate itself. A decision costs well under a microsecond. A filter goes on with what its predecessor
/// on the route knows of its keys, as long as the rate, the burst and the keys are the same.
#[derive(Debug)]
pub struct RateLimit {
    counter: Counter,
    /// The statuses of answers that count; `None` where requests count as they come.
    count: Option<Box<[StatusRange]>>,
    mode: RateLimitMode,
    max_delay: Duration,
    waiting: Arc<Semaphore>,
    policy: HeaderValue,
    headers: bool,
    description: String,
}

/// The key of a request that is counted when its answer is known.
#[derive(Clone, Copy, Debug)]
struct Uncounted(Key);

/// Requests that one filter and its predecessors hold at once; each costs a task and its connection's buffers.
const MAX_WAITING: usize = 10_000;

impl RateLimit {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When `burst` is 0, `keys` is not 1000 to 10000000, `max_delay` is not up to 1m or stands without `mode: delay`, or
    /// what `scope: cluster` needs is not there.
    pub fn build(settings: RateLimitSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let (burst, keys) = (settings.checked_burst()?, settings.checked_keys()?);
        let max_delay = settings.checked_delay()?;
        let count = settings.checked_count()?.map(Box::from);
        let shared = shared(&settings, burst, max_delay, cx)?;
        let (rate, own_burst) = settings.local(burst);
        let name = format!("{rate} burst {own_burst} of {keys} by {}", settings.key);
        let limiter = cx.keep_exported(&name, || Limiter::new(rate, own_burst, keys));
        Ok(Self {
            max_delay,
            policy: policy(settings.rate).map_err(|error| BuildError::new(error).at("rate"))?,
            waiting: cx.keep("waiting", || Semaphore::new(MAX_WAITING)),
            mode: settings.mode,
            headers: settings.headers,
            description: describe(&settings, burst),
            counter: Counter::new(settings.key, cx.ipv6_prefix(), limiter, shared, count.is_some()),
            count,
        })
    }

    /// The request's turn, its refusal, or a mark that it would have been refused.
    async fn decide(&self, key: Key, cx: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        let place = (self.mode == RateLimitMode::Delay).then(|| self.waiting.try_acquire().ok()).flatten();
        // Without a place to wait in, only those pass who need not wait.
        let patience = if place.is_some() { self.max_delay } else { Duration::ZERO };
        let decision = match self.counter.decide(key, cx.now(), patience).await {
            Ok(Some(decision)) => decision,
            Err(rejection) if self.mode != RateLimitMode::DryRun => return Ok(rejection.into()),
            Ok(None) | Err(_) => return Ok(Flow::Continue),
        };
        match decision {
            Decision::Allowed { wait, remaining, reset } => {
                if !wait.is_zero() {
                    RateLimitVerdict::Delayed.record(cx.extensions_mut());
                    tokio::time::sleep_until(cx.now() + wait).await;
                }
                self.remember(remaining, reset.saturating_sub(wait), cx);
                if self.count.is_some() {
                    own::keep(self, Uncounted(key), cx);
                }
                Ok(Flow::Continue)
            }
            Decision::Limited { .. } if self.mode == RateLimitMode::DryRun => {
                RateLimitVerdict::WouldReject.record(cx.extensions_mut());
                Ok(Flow::Continue)
            }
            Decision::Limited { retry_after, .. } => self.reject(retry_after, cx),
        }
    }

    fn reject(&self, retry_after: Duration, cx: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        RateLimitVerdict::Rejected.record(cx.extensions_mut());
        // What an earlier limit on the route had left is of no use to this client any more.
        cx.extensions_mut().remove::<Quota>();
        // The window ends no later than Retry-After, as §6 of the draft wants it.
        let quota = Quota { policy: self.policy.clone(), remaining: 0, reset: retry_after };
        let rejection = Rejection::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited")
            .with_header(RETRY_AFTER, HeaderValue::from(whole_seconds(retry_after)))
            .with_header(RATELIMIT_POLICY, self.policy.clone())
            .with_header(RATELIMIT, quota.field()?);
        Ok(rejection.into())
    }

    /// Counts the request if its answer is one of those that count.
    fn count(&self, statuses: &[StatusRange], status: u16, cx: &mut FilterCx<'_>) {
        let now = cx.now();
        let Some(Uncounted(key)) = own::take(self, cx) else { return };
        if statuses.iter().any(|range| range.contains(status)) {
            self.counter.charge(key, now);
        }
    }

    /// Keeps what is left for the response, unless another limit on the route left less.
    fn remember(&self, remaining: u32, reset: Duration, cx: &mut FilterCx<'_>) {
        if !self.headers {
            return;
        }
        let tighter = cx.extensions().get::<Quota>().is_some_and(|known| known.remaining <= remaining);
        if !tighter {
            cx.extensions_mut().insert(Quota { policy: self.policy.clone(), remaining, reset });
        }
    }
}

#[async_trait]
impl Filter for RateLimit {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        let key = self.counter.key(request, cx);
        self.decide(key, cx).await
    }

    fn on_response(&self, response: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        if let Some(statuses) = &self.count {
            self.count(statuses, response.status().as_u16(), cx);
        }
        if !self.headers {
            return Ok(());
        }
        // The first limit to see the response takes the quota away, so it is told once.
        if let Some(quota) = cx.extensions_mut().remove::<Quota>() {
            response.set_header(RATELIMIT, quota.field()?)?;
            response.set_header(RATELIMIT_POLICY, quota.policy)?;
        }
        Ok(())
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn describe_now(&self, parts: KeyParts<'_>, now: Instant) -> Option<String> {
        Some(match self.counter.look(parts, now) {
            Decision::Allowed { remaining, .. } => format!("it would pass: {remaining} may come at once"),
            Decision::Limited { retry_after, .. } => {
                format!("it is over the limit, for {} ms more", retry_after.as_millis().max(1))
            }
        })
    }
}

/// The part that is counted in a store, if any is.
fn shared(
    settings: &RateLimitSettings,
    burst: u32,
    max_delay: Duration,
    cx: &BuildCx<'_>,
) -> Result<Option<Shared>, BuildError> {
    let Some((store, name)) = settings.checked_scope()? else { return Ok(None) };
    let store = cx.store(store).map_err(|error| error.at("store"))?;
    let patience = if settings.mode == RateLimitMode::Delay { max_delay } else { Duration::ZERO };
    let cluster = Cluster::new(store, name, settings.rate, burst, patience)?;
    Ok(Some(Shared { cluster, on_failure: settings.on_store_failure.unwrap_or_default() }))
}

fn describe(settings: &RateLimitSettings, burst: u32) -> String {
    let RateLimitSettings { rate, key, .. } = settings;
    let mode = match settings.mode {
        RateLimitMode::Reject => "",
        RateLimitMode::Delay => ", delaying",
        RateLimitMode::DryRun => ", dry run",
    };
    let count = settings.count.as_ref().map_or(String::new(), |count| {
        let statuses: Vec<_> = count.as_slice().iter().map(StatusRange::to_string).collect();
        format!(", counting {}", statuses.join(", "))
    });
    let scope = match (&settings.store, &settings.name) {
        (Some(store), Some(name)) => format!(", as {name} in {store}"),
        _ => String::new(),
    };
    format!("{rate} per {key}, burst {burst}{mode}{count}{scope}")
}

#[cfg(test)]
mod tests;
