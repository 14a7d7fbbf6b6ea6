use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use tokio::sync::Semaphore;

use crate::hooks::{
    BuildCx, BuildError, Filter, FilterCx, Flow, HookError, KeyParts, KeySpec, Rejection, RequestView,
    ResponseView,
};

use super::fields::{Quota, RATELIMIT, RATELIMIT_POLICY, policy, whole_seconds};
use super::{Decision, Limiter, RateLimitMode, RateLimitSettings, RateLimitVerdict};

/// The filter `rate_limit`.
///
/// A request that is over the rate gets 429 with `Retry-After`, `RateLimit-Policy` and `RateLimit`, and does not
/// count against the rate itself. A decision costs well under a microsecond. A filter goes on with what its predecessor
/// on the route knows of its keys, as long as the rate, the burst and the keys are the same.
#[derive(Debug)]
pub struct RateLimit {
    limiter: Arc<Limiter>,
    key: KeySpec,
    mode: RateLimitMode,
    ipv6_prefix: u8,
    max_delay: Duration,
    waiting: Arc<Semaphore>,
    policy: HeaderValue,
    headers: bool,
    description: String,
}

/// Requests that one filter and its predecessors hold at once; each costs a task and its connection's buffers.
const MAX_WAITING: usize = 10_000;

/// The key of all requests that have none, which therefore share one limit (fail closed).
const NO_KEY: u128 = 0;

impl RateLimit {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When `burst` is 0, `keys` is not 1000 to 10000000, or `max_delay` is not up to 1m or stands without
    /// `mode: delay`.
    pub fn build(settings: RateLimitSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let (burst, keys) = (settings.checked_burst()?, settings.checked_keys()?);
        let RateLimitSettings { rate, key, .. } = &settings;
        let name = format!("{rate} burst {burst} of {keys} by {key}");
        Ok(Self {
            limiter: cx.keep_exported(&name, || Limiter::new(*rate, burst, keys)),
            max_delay: settings.checked_delay()?,
            policy: policy(settings.rate).map_err(|error| BuildError::new(error).at("rate"))?,
            waiting: cx.keep("waiting", || Semaphore::new(MAX_WAITING)),
            mode: settings.mode,
            ipv6_prefix: cx.ipv6_prefix(),
            headers: settings.headers,
            description: describe(&settings, burst),
            key: settings.key,
        })
    }

    fn reject_or_pass(&self, key: u128, cx: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        match self.limiter.decide(key, cx.now()) {
            Decision::Allowed { remaining, reset, .. } => {
                self.remember(remaining, reset, cx);
                Ok(Flow::Continue)
            }
            Decision::Limited { retry_after, .. } => self.reject(retry_after, cx),
        }
    }

    async fn wait_or_reject(&self, key: u128, cx: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        let place = self.waiting.try_acquire();
        // Without a place to wait in, only those pass who need not wait.
        let patience = if place.is_ok() { self.max_delay } else { Duration::ZERO };
        match self.limiter.decide_within(key, cx.now(), patience) {
            Decision::Allowed { wait, remaining, reset } => {
                if !wait.is_zero() {
                    RateLimitVerdict::Delayed.record(cx.extensions_mut());
                    tokio::time::sleep_until(cx.now() + wait).await;
                }
                self.remember(remaining, reset.saturating_sub(wait), cx);
                Ok(Flow::Continue)
            }
            Decision::Limited { retry_after, .. } => self.reject(retry_after, cx),
        }
    }

    fn mark(&self, key: u128, cx: &mut FilterCx<'_>) {
        match self.limiter.decide(key, cx.now()) {
            Decision::Allowed { remaining, reset, .. } => self.remember(remaining, reset, cx),
            Decision::Limited { .. } => RateLimitVerdict::WouldReject.record(cx.extensions_mut()),
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
        let key = self.key.hash(KeyParts::of(request, cx), self.ipv6_prefix, self.limiter.hasher());
        let key = key.unwrap_or(NO_KEY);
        match self.mode {
            RateLimitMode::Reject => self.reject_or_pass(key, cx),
            RateLimitMode::Delay => self.wait_or_reject(key, cx).await,
            RateLimitMode::DryRun => {
                self.mark(key, cx);
                Ok(Flow::Continue)
            }
        }
    }

    fn on_response(&self, response: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
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
}

fn describe(settings: &RateLimitSettings, burst: u32) -> String {
    let RateLimitSettings { rate, key, .. } = settings;
    let mode = match settings.mode {
        RateLimitMode::Reject => "",
        RateLimitMode::Delay => ", delaying",
        RateLimitMode::DryRun => ", dry run",
    };
    format!("{rate} per {key}, burst {burst}{mode}")
}

#[cfg(test)]
mod tests;
