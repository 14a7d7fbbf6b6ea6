use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use async_trait::async_trait;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::hooks::{
    BuildCx, BuildError, Filter, FilterCx, Flow, HookError, Rejection, RequestView, ResponseView,
};

use super::AdaptiveConcurrencySettings;
use super::control::{Bounds, Control};

/// The filter `adaptive_concurrency`.
///
/// What counts is the time from here to the head of the answer, whoever gives it; answers of 500 and above count as slow. A
/// filter goes on with what its predecessor on the route has learnt, as long as its settings are the same.
#[derive(Debug)]
pub struct AdaptiveConcurrency {
    state: Arc<State>,
    description: String,
}

/// What all requests of a route share.
#[derive(Debug)]
struct State {
    control: Mutex<Control>,
    /// What `control` says, to be read without its lock.
    limit: AtomicU32,
    in_flight: AtomicU32,
}

/// A request that is under way, until this is dropped.
#[derive(Debug)]
struct Permit {
    state: Arc<State>,
    since: Instant,
    answered: AtomicBool,
}

/// The permits of a request, one for each such filter on its route.
#[derive(Clone, Debug, Default)]
struct Permits(SmallVec<[Arc<Permit>; 1]>);

impl AdaptiveConcurrency {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When `min` or `max` is not 1 to 1000000, `min` is more than `max`, or a time or `headroom` is out of its range.
    pub fn build(settings: AdaptiveConcurrencySettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let bounds = settings.checked()?;
        let state = cx.keep(&format!("{bounds:?}"), || State::new(bounds));
        let AdaptiveConcurrencySettings { min, max, headroom, .. } = settings;
        Ok(Self { state, description: format!("{min} to {max} at once, {headroom} of headroom") })
    }
}

impl State {
    fn new(bounds: Bounds) -> Self {
        let control = Control::new(bounds);
        let limit = AtomicU32::new(control.limit());
        Self { control: Mutex::new(control), limit, in_flight: AtomicU32::new(0) }
    }

    /// A permit, if there is one left.
    fn permit(self: &Arc<Self>, since: Instant) -> Option<Permit> {
        let before = self.in_flight.fetch_add(1, Ordering::Relaxed);
        let permit = Permit { state: self.clone(), since, answered: AtomicBool::new(false) };
        // One too many gives itself back.
        (before < self.limit.load(Ordering::Relaxed)).then_some(permit)
    }
}

impl Permit {
    /// Takes note of the answer; only the first one counts.
    fn answered(&self, failed: bool, now: Instant) {
        if self.answered.swap(true, Ordering::Relaxed) {
            return;
        }
        let took = now.saturating_duration_since(self.since);
        let in_flight = self.state.in_flight.load(Ordering::Relaxed);
        let mut control = self.state.control.lock();
        control.answered(took, failed, in_flight, now);
        self.state.limit.store(control.limit(), Ordering::Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.state.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[async_trait]
impl Filter for AdaptiveConcurrency {
    async fn on_request(&self, _: &mut RequestView<'_>, cx: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        let Some(permit) = self.state.permit(cx.now()) else {
            let rejection = Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "overloaded");
            return Ok(rejection.with_header(RETRY_AFTER, HeaderValue::from_static("1")).into());
        };
        cx.extensions_mut().get_or_insert_default::<Permits>().0.push(Arc::new(permit));
        Ok(Flow::Continue)
    }

    fn on_response(&self, response: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        let permits = cx.extensions().get::<Permits>();
        let mine = permits.and_then(|all| all.0.iter().find(|one| Arc::ptr_eq(&one.state, &self.state)));
        if let Some(permit) = mine {
            permit.answered(response.status().is_server_error(), cx.now());
        }
        Ok(())
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hooks::testing::{self, Exchange, Generations};

    fn settings(yaml: &str) -> AdaptiveConcurrencySettings {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn filter(yaml: &str) -> AdaptiveConcurrency {
        testing::build(settings(yaml), AdaptiveConcurrency::build).unwrap()
    }

    /// A request that is under way, if it passed.
    async fn ask(filter: &AdaptiveConcurrency) -> Option<Exchange> {
        let mut exchange = Exchange::get("/", Instant::now());
        match exchange.on_request(filter).await.unwrap() {
            Flow::Continue => Some(exchange),
            Flow::Reject(rejection) => {
                assert_eq!((rejection.status.as_u16(), &*rejection.cause), (503, "overloaded"));
                exchange.on_response(filter).unwrap();
                None
            }
            other => panic!("{other:?}"),
        }
    }

    async fn all_that_pass(filter: &AdaptiveConcurrency) -> Vec<Exchange> {
        let mut passed = Vec::new();
        while let Some(exchange) = ask(filter).await {
            passed.push(exchange);
        }
        passed
    }

    #[tokio::test(start_paused = true)]
    async fn so_many_are_under_way_and_no_more() {
        let filter = filter("{}");
        let mut passed = all_that_pass(&filter).await;
        assert_eq!(passed.len(), 20);
        passed.pop();
        assert_eq!(all_that_pass(&filter).await.len(), 1);
        drop(passed);
        assert_eq!(filter.state.in_flight.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_grows_while_answers_are_fast_and_shrinks_when_they_are_slow() {
        let filter = filter("{ max: 50 }");
        let rounds = async |count: usize, took: Duration| {
            for _ in 0..count {
                let mut passed = all_that_pass(&filter).await;
                tokio::time::advance(took).await;
                for exchange in &mut passed {
                    exchange.set_now(Instant::now());
                    exchange.on_response(&filter).unwrap();
                    exchange.on_response(&filter).unwrap();
                }
            }
            filter.state.limit.load(Ordering::Relaxed)
        };
        assert_eq!(rounds(200, Duration::from_millis(10)).await, 50);
        assert!(rounds(100, Duration::from_millis(100)).await < 20);
        assert_eq!(rounds(500, Duration::from_millis(10)).await, 50);
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_learnt_outlives_a_reload_with_the_same_settings() {
        let mut generations = Generations::new();
        let first = generations.build(settings("{}"), AdaptiveConcurrency::build).unwrap();
        let same = generations.build(settings("{ max: 1000 }"), AdaptiveConcurrency::build).unwrap();
        assert!(Arc::ptr_eq(&first.state, &same.state));
        let other = generations.build(settings("{ max: 999 }"), AdaptiveConcurrency::build).unwrap();
        assert!(!Arc::ptr_eq(&first.state, &other.state));
    }

    #[test]
    fn settings_out_of_range_are_refused_at_their_key() {
        let cases = [
            ("{ min: 0 }", "min", "1 to 1000000"),
            ("{ max: 1000001 }", "max", "1 to 1000000"),
            ("{ min: 9, max: 8 }", "min", "more than `max`"),
            ("{ sample: 9ms }", "sample", "10ms to 10s"),
            ("{ remeasure: 2h }", "remeasure", "1s to 1h"),
            ("{ headroom: 101% }", "headroom", "0% to 100%"),
        ];
        for (yaml, key, message) in cases {
            let error = testing::build(settings(yaml), AdaptiveConcurrency::build).unwrap_err();
            let (found_key, found, _) = error.into_parts();
            assert_eq!(found_key, [key], "{yaml}");
            assert!(found.contains(message), "{yaml}: {found}");
        }
    }
}
