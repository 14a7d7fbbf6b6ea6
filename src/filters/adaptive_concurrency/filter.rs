use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;
use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use parking_lot::Mutex;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::hooks::{
    BuildCx, BuildError, Filter, FilterCx, Flow, HookError, KeyParts, Rejection, RequestView, ResponseView,
};

use super::AdaptiveConcurrencySettings;
use super::control::{Bounds, Control};

/// The filter `adaptive_concurrency`.
///
/// A request is under way from here to the head of its answer, and that is the time that is learnt from: how long the answer
/// goes on then is up to its client as much as to the endpoint, and a few clients that do not read, or tunnels, would take up
/// all there is. Nothing is learnt from what no endpoint has answered, as refusals and stored answers are: they take no time,
/// beside which work would look like a queue. Answers of 500 and above count as slow, and so does an endpoint that fails. A
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
        let permit = Permit { state: self.clone(), since };
        // One too many gives itself back.
        (before < self.limit.load(Ordering::Relaxed)).then_some(permit)
    }
}

impl Permit {
    /// Takes note of the answer of an endpoint.
    fn answered(&self, failed: bool, now: Instant) {
        let took = now.saturating_duration_since(self.since);
        let in_flight = self.state.in_flight.load(Ordering::Relaxed);
        let mut control = self.state.control.lock();
        control.answered(took, failed, in_flight, now);
        self.state.limit.store(control.limit(), Ordering::Relaxed);
    }
}

impl Permits {
    /// The permit of this filter, which is no longer the request's.
    fn take(&mut self, state: &Arc<State>) -> Option<Arc<Permit>> {
        let place = self.0.iter().position(|permit| Arc::ptr_eq(&permit.state, state))?;
        Some(self.0.swap_remove(place))
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
        let now = cx.now();
        let permit = cx.extensions_mut().get_mut::<Permits>().and_then(|permits| permits.take(&self.state));
        let Some(permit) = permit else { return Ok(()) };
        let failed = response.status().is_server_error();
        // An endpoint that was asked in vain has told as much as one that answers so.
        let has_failed = failed && response.cause().is_some() && cx.endpoint().is_some();
        if response.is_from_endpoint() || has_failed {
            permit.answered(failed, now);
        }
        Ok(())
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn describe_now(&self, _: KeyParts<'_>, _: Instant) -> Option<String> {
        let [in_flight, limit] =
            [&self.state.in_flight, &self.state.limit].map(|count| count.load(Ordering::Relaxed));
        let becomes = if in_flight < limit { "it would pass" } else { "it would be refused" };
        Some(format!("{becomes}: {in_flight} under way, and {limit} may be by what was learnt"))
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
        let now = || {
            let mut exchange = Exchange::get("/", Instant::now());
            exchange
                .with_request(|request, cx| filter.describe_now(KeyParts::of(request, cx), cx.now()))
                .unwrap()
        };
        assert_eq!(now(), "it would pass: 0 under way, and 20 may be by what was learnt");
        let mut passed = all_that_pass(&filter).await;
        assert_eq!(passed.len(), 20);
        assert_eq!(now(), "it would be refused: 20 under way, and 20 may be by what was learnt");
        passed.pop();
        let mut last = all_that_pass(&filter).await;
        assert_eq!(last.len(), 1);
        drop(passed);
        assert_eq!(filter.state.in_flight.load(Ordering::Relaxed), 1);
        last[0].on_response(&filter).unwrap();
        assert_eq!(filter.state.in_flight.load(Ordering::Relaxed), 0, "its body may go on for long");
        drop(last);
        assert_eq!(filter.state.in_flight.load(Ordering::Relaxed), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_learnt_from_answers_that_no_endpoint_gave() {
        let filter = filter("{}");
        let limit = async |edge: usize, endpoint: usize| {
            for _ in 0..edge {
                ask(&filter)
                    .await
                    .unwrap()
                    .with_response_status(StatusCode::UNAUTHORIZED)
                    .on_response(&filter)
                    .unwrap();
            }
            tokio::time::advance(Duration::from_millis(20)).await;
            for _ in 0..endpoint {
                answer_in(&filter, Duration::from_millis(50)).await;
            }
            filter.state.limit.load(Ordering::Relaxed)
        };
        for _ in 0..100 {
            assert_eq!(limit(200, 0).await, 20);
        }
        for _ in 0..100 {
            limit(200, 1).await;
        }
        assert_eq!(limit(0, 0).await, 20, "an endpoint that takes no longer than ever has no queue");
    }

    /// Has a request answered by an endpoint in so long.
    async fn answer_in(filter: &AdaptiveConcurrency, took: Duration) {
        let mut exchange = ask(filter).await.unwrap().with_endpoint("127.0.0.1:1".parse().unwrap());
        tokio::time::advance(took).await;
        exchange.set_now(Instant::now());
        exchange.on_response(filter).unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn the_limit_grows_while_answers_are_fast_and_shrinks_when_they_are_slow() {
        let filter = filter("{ max: 50 }");
        let rounds = async |count: usize, took: Duration| {
            for _ in 0..count {
                let mut passed = all_that_pass(&filter).await;
                tokio::time::advance(took).await;
                for exchange in passed.drain(..) {
                    let mut exchange = exchange.with_endpoint("127.0.0.1:1".parse().unwrap());
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
