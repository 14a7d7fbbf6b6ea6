use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use evener::hooks::{
    BuildCx, BuildError, Export, Filter, FilterCx, HookError, ImportError, ResponseView, testing,
};
use http::HeaderName;
use serde::Deserialize;
use tokio::time::Instant;

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
struct VisitSettings {
    /// From where the count goes on.
    #[serde(default)]
    after: u64,
}

/// Tells clients the number of their visit.
struct VisitCounter {
    visits: Arc<Visits>,
}

struct Visits(AtomicU64);

impl VisitCounter {
    fn build(settings: VisitSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let VisitSettings { after } = settings;
        // The name says what the state was made of, so that another `after` begins another count.
        let visits = cx.keep_exported(&format!("visits after {after}"), || Visits(AtomicU64::new(after)));
        Ok(Self { visits })
    }
}

#[async_trait]
impl Filter for VisitCounter {
    fn on_response(&self, response: &mut ResponseView<'_>, _: &mut FilterCx<'_>) -> Result<(), HookError> {
        let number = self.visits.0.fetch_add(1, Ordering::Relaxed) + 1;
        response.set_header(HeaderName::from_static("x-visit"), number.into())
    }
}

impl Export for Visits {
    fn export(&self, _: Instant) -> Vec<u8> {
        self.0.load(Ordering::Relaxed).to_le_bytes().to_vec()
    }

    fn import(&mut self, bytes: &[u8], _: Instant) -> Result<(), ImportError> {
        let number = bytes.try_into().map_err(|_| ImportError::new("not eight bytes"))?;
        self.0 = AtomicU64::new(u64::from_le_bytes(number));
        Ok(())
    }
}

fn settings(after: u64) -> VisitSettings {
    VisitSettings { after }
}

/// What the next visitor is told.
fn visit(counter: &VisitCounter) -> String {
    let mut exchange = testing::Exchange::get("/", Instant::now());
    exchange.on_response(counter).unwrap();
    exchange.response_headers()["x-visit"].to_str().unwrap().to_owned()
}

#[test]
fn a_count_goes_on_after_a_reload_and_in_another_process() {
    let mut generations = testing::Generations::new();
    let first = generations.build(settings(0), VisitCounter::build).unwrap();
    assert_eq!(visit(&first), "1");
    let reloaded = generations.build(settings(0), VisitCounter::build).unwrap();
    assert_eq!([visit(&reloaded), visit(&first)], ["2", "3"]);
    generations.hand_over(Instant::now());
    let in_another_process = generations.build(settings(0), VisitCounter::build).unwrap();
    assert_eq!([visit(&in_another_process), visit(&first)], ["4", "4"]);
    let changed = generations.build(settings(100), VisitCounter::build).unwrap();
    assert_eq!(visit(&changed), "101");
}

#[test]
fn a_build_that_fails_takes_nothing_away() {
    let mut generations = testing::Generations::new();
    let first = generations.build(settings(0), VisitCounter::build).unwrap();
    let refuse = |_: VisitSettings, _: &BuildCx<'_>| Err::<VisitCounter, _>(BuildError::new("refused"));
    assert!(generations.build(settings(0), refuse).is_err());
    let second = generations.build(settings(0), VisitCounter::build).unwrap();
    assert_eq!([visit(&first), visit(&second)], ["1", "2"]);
}

/// The built-in filter, as a program sees it from outside.
#[tokio::test(start_paused = true)]
async fn a_rate_limit_goes_on_where_it_was() {
    use evener::filters::{RateLimit, RateLimitSettings};

    let settings = |yaml: &str| serde_yaml::from_str::<RateLimitSettings>(yaml).unwrap();
    let now = Instant::now();
    let passes = async |filter: &RateLimit| {
        let flow = testing::Exchange::get("/", now).on_request(filter).await.unwrap();
        matches!(flow, evener::hooks::Flow::Continue)
    };
    let mut generations = testing::Generations::new();
    let first = generations.build(settings("{ rate: 1/h }"), RateLimit::build).unwrap();
    assert!(passes(&first).await && !passes(&first).await);
    let delaying = settings("{ rate: 1/h, mode: delay, max_delay: 1s, headers: true }");
    let reloaded = generations.build(delaying, RateLimit::build).unwrap();
    assert!(!passes(&reloaded).await, "another mode is the same limit");
    generations.hand_over(now);
    let in_another_process = generations.build(settings("{ rate: 1/h }"), RateLimit::build).unwrap();
    assert!(!passes(&in_another_process).await);
    let changed = generations.build(settings("{ rate: 2/h }"), RateLimit::build).unwrap();
    assert!(passes(&changed).await, "another rate is another limit");
}
