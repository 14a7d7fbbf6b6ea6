use std::sync::Arc;

use async_trait::async_trait;
use http::StatusCode;
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::hooks::{
    BuildCx, BuildError, Filter, FilterCx, Flow, HookError, KeyParts, KeySpec, NO_KEY, Rejection, RequestView,
};

use super::ConcurrencySettings;
use super::slots::{Room, Slot, Slots, Taken};

/// The filter `concurrency`.
///
/// A request holds its place until the last byte of its answer has gone, or its client has. A filter goes on with what its
/// predecessor on the route knows is under way, as long as the key is the same.
#[derive(Debug)]
pub struct Concurrency {
    slots: Arc<Slots>,
    key: KeySpec,
    ipv6_prefix: u8,
    room: Room,
    status: StatusCode,
    description: String,
}

/// The places that a request holds, one for each limit on its route.
#[derive(Clone, Debug, Default)]
struct Held(SmallVec<[Arc<Slot>; 2]>);

impl Concurrency {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When `max` is not 1 to 1000000, `queue` is more than 10000, `queue_timeout` is not up to 1m or stands without a
    /// `queue`, or `status` is neither 429 nor 503.
    pub fn build(settings: ConcurrencySettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let (max, queue) = (settings.checked_max()?, settings.checked_queue()?);
        Ok(Self {
            slots: cx.keep(&format!("by {}", settings.key), Slots::new),
            room: Room { max, queue, patience: settings.checked_timeout()? },
            status: settings.checked_status()?,
            ipv6_prefix: cx.ipv6_prefix(),
            description: describe(&settings),
            key: settings.key,
        })
    }
}

#[async_trait]
impl Filter for Concurrency {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        let key = self.key.hash(KeyParts::of(request, cx), self.ipv6_prefix, self.slots.hasher());
        let Some(slot) = self.slots.take(key.unwrap_or(NO_KEY), self.room).await else {
            return Ok(Rejection::new(self.status, "concurrency_limited").into());
        };
        let extensions = cx.extensions_mut();
        extensions.get_or_insert_default::<Held>().0.push(Arc::new(slot));
        Ok(Flow::Continue)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }

    fn describe_now(&self, parts: KeyParts<'_>, _: Instant) -> Option<String> {
        let key = self.key.hash(parts, self.ipv6_prefix, self.slots.hasher()).unwrap_or(NO_KEY);
        let Taken { busy, waiting } = self.slots.taken(key);
        let Room { max, queue, .. } = self.room;
        let becomes = match (busy < max, waiting < queue) {
            (true, _) => "it would pass",
            (false, true) => "it would wait",
            (false, false) => "it would be refused",
        };
        let waiting = if queue > 0 { format!(", {waiting} of {queue} waiting") } else { String::new() };
        Some(format!("{becomes}: {busy} of {max} under way{waiting}"))
    }
}

fn describe(settings: &ConcurrencySettings) -> String {
    let ConcurrencySettings { max, key, queue, .. } = settings;
    match queue {
        0 => format!("{max} at once per {key}"),
        queue => format!("{max} at once per {key}, {queue} waiting"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::hooks::testing::{self, Exchange, Generations};

    fn settings(yaml: &str) -> ConcurrencySettings {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn filter(yaml: &str) -> Concurrency {
        testing::build(settings(yaml), Concurrency::build).unwrap()
    }

    /// A request, and how it was refused.
    async fn ask(filter: &Concurrency) -> (Exchange, Option<u16>) {
        let mut exchange = Exchange::get("/", Instant::now());
        let status = match exchange.on_request(filter).await.unwrap() {
            Flow::Continue => None,
            Flow::Reject(rejection) => {
                assert_eq!(rejection.cause, "concurrency_limited");
                Some(rejection.status.as_u16())
            }
            other => panic!("{other:?}"),
        };
        (exchange, status)
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_holds_its_place_to_its_end() {
        let filter = filter("{ max: 1 }");
        let (first, refused) = ask(&filter).await;
        assert_eq!(refused, None);
        assert_eq!(ask(&filter).await.1, Some(429));
        drop(first);
        assert_eq!(ask(&filter).await.1, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_waits_for_so_long_and_is_refused_then() {
        let filter = filter("{ max: 1, queue: 1, queue_timeout: 3s, status: 503 }");
        let (first, _) = ask(&filter).await;
        let begun = Instant::now();
        assert_eq!(ask(&filter).await.1, Some(503));
        assert_eq!(begun.elapsed(), Duration::from_secs(3));
        let ((_, refused), ()) = tokio::join!(ask(&filter), async { drop(first) });
        assert_eq!(refused, None);
        assert_eq!(filter.describe(), "1 at once per client_ip, 1 waiting");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_taken_is_told_of_the_key() {
        let filter = filter("{ max: 1, queue: 1, queue_timeout: 3s }");
        let now = || {
            let parts = |request: &RequestView<'_>, cx: &FilterCx<'_>| {
                filter.describe_now(KeyParts::of(request, cx), Instant::now())
            };
            Exchange::get("/", Instant::now()).with_request(|request, cx| parts(request, cx)).unwrap()
        };
        assert_eq!(now(), "it would pass: 0 of 1 under way, 0 of 1 waiting");
        let (first, _) = ask(&filter).await;
        assert_eq!(now(), "it would wait: 1 of 1 under way, 0 of 1 waiting");
        let second = ask(&filter);
        tokio::pin!(second);
        assert!(futures::poll!(&mut second).is_pending());
        assert_eq!(now(), "it would be refused: 1 of 1 under way, 1 of 1 waiting");
        drop(first);
        assert_eq!(second.await.1, None);
    }

    #[tokio::test(start_paused = true)]
    async fn several_limits_hold_a_place_each() {
        let (one, other) = (filter("{ max: 1 }"), filter("{ max: 1, key: host }"));
        let mut exchange = Exchange::get("/", Instant::now());
        for filter in [&one, &other] {
            assert!(matches!(exchange.on_request(filter).await, Ok(Flow::Continue)));
        }
        for filter in [&one, &other] {
            assert_eq!(ask(filter).await.1, Some(429));
        }
        drop(exchange);
        for filter in [&one, &other] {
            assert_eq!(ask(filter).await.1, None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_under_way_counts_after_a_reload() {
        let mut generations = Generations::new();
        let old = generations.build(settings("{ max: 1 }"), Concurrency::build).unwrap();
        let (first, _) = ask(&old).await;
        let new = generations.build(settings("{ max: 2 }"), Concurrency::build).unwrap();
        let (second, refused) = ask(&new).await;
        assert_eq!(refused, None);
        assert_eq!(ask(&new).await.1, Some(429));
        drop((first, second));
        assert_eq!(ask(&new).await.1, None);
    }

    #[test]
    fn settings_out_of_range_are_refused_at_their_key() {
        let cases = [
            ("{ max: 0 }", "max", "lets no request pass"),
            ("{ max: 1000001 }", "max", "1 to 1000000"),
            ("{ max: 1, queue: 10001 }", "queue", "0 to 10000"),
            ("{ max: 1, queue_timeout: 1s }", "queue_timeout", "with a `queue` only"),
            ("{ max: 1, queue: 1, queue_timeout: 0s }", "queue_timeout", "more than 0s"),
            ("{ max: 1, queue: 1, queue_timeout: 61s }", "queue_timeout", "up to 1m"),
            ("{ max: 1, status: 500 }", "status", "429 or 503"),
        ];
        for (yaml, key, message) in cases {
            let error = testing::build(settings(yaml), Concurrency::build).unwrap_err();
            let (found_key, found, _) = error.into_parts();
            assert_eq!(found_key, [key], "{yaml}");
            assert!(found.contains(message), "{yaml}: {found}");
        }
    }
}
