//! `hedge`: asks another endpoint too where the first one takes long to answer.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::hooks::{BuildCx, BuildError, Filter, FilterCx, Flow, HedgeAfter, HookError, RequestView};
use crate::types::{Span, text_leaf};

/// Sends a request to another endpoint of its pool too when the first one has not answered in time; the first good answer goes
/// to the client. Only requests that have no body and may be sent twice (GET, HEAD, OPTIONS and the like), one more each, and
/// within the pool's `retry.budget`.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HedgeSettings {
    /// How long the head of an answer may take until then: `p95`, what 95 of 100 of the pool's answers to such requests have taken
    /// lately, or a time of 1ms to 1m.
    pub after: HedgeDelay,
    /// So many answers of the last half to whole minute there have to be before `p95` means anything, 10 to 1000000.
    #[schemars(range(min = 10, max = 1_000_000))]
    pub min_samples: u32,
}

/// When another endpoint is asked too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HedgeDelay {
    /// After what 95 of 100 answers have taken lately.
    #[default]
    P95,
    /// After a fixed time.
    Fixed(Span),
}

/// A delay that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither `p95` nor a time of 1ms to 1m")]
pub struct InvalidHedgeDelay(String);

const SHORTEST: Span = Span::from_millis(1);
const LONGEST: Span = Span::from_secs(60);
const SAMPLES: std::ops::RangeInclusive<u32> = 10..=1_000_000;

impl FromStr for HedgeDelay {
    type Err = InvalidHedgeDelay;

    fn from_str(text: &str) -> Result<Self, InvalidHedgeDelay> {
        if text == "p95" {
            return Ok(Self::P95);
        }
        let span = text.parse().ok().filter(|span| (SHORTEST..=LONGEST).contains(span));
        span.map(Self::Fixed).ok_or_else(|| InvalidHedgeDelay(text.to_owned()))
    }
}

impl fmt::Display for HedgeDelay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::P95 => f.write_str("p95"),
            Self::Fixed(span) => span.fmt(f),
        }
    }
}

text_leaf!(HedgeDelay, "`p95` or a time", "50ms");

impl Default for HedgeSettings {
    fn default() -> Self {
        Self { after: HedgeDelay::P95, min_samples: 100 }
    }
}

/// The filter `hedge`.
#[derive(Debug)]
pub struct Hedge {
    after: HedgeAfter,
    description: String,
}

impl Hedge {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When `min_samples` is not 10 to 1000000.
    pub fn build(settings: HedgeSettings, _: &BuildCx<'_>) -> Result<Self, BuildError> {
        let HedgeSettings { after, min_samples } = settings;
        if !SAMPLES.contains(&min_samples) {
            let told = format!("{min_samples} answers; 10 to 1000000 are allowed");
            return Err(BuildError::new(told).at("min_samples"));
        }
        let description = format!("another endpoint after {after}");
        let after = match after {
            HedgeDelay::P95 => HedgeAfter::P95 { min_samples },
            HedgeDelay::Fixed(span) => HedgeAfter::Fixed(span.get()),
        };
        Ok(Self { after, description })
    }
}

#[async_trait]
impl Filter for Hedge {
    async fn on_request(&self, _: &mut RequestView<'_>, cx: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        cx.hedge(self.after);
        Ok(Flow::Continue)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::*;
    use crate::hooks::testing::{self, Exchange};

    fn build(yaml: &str) -> Result<Hedge, BuildError> {
        testing::build(serde_yaml::from_str::<HedgeSettings>(yaml).unwrap(), Hedge::build)
    }

    #[tokio::test]
    async fn requests_are_marked() {
        let cases = [
            ("{}", HedgeAfter::P95 { min_samples: 100 }, "another endpoint after p95"),
            (
                "{ after: p95, min_samples: 10 }",
                HedgeAfter::P95 { min_samples: 10 },
                "another endpoint after p95",
            ),
            ("{ after: 50ms }", HedgeAfter::Fixed(Duration::from_millis(50)), "another endpoint after 50ms"),
        ];
        for (yaml, expected, description) in cases {
            let filter = build(yaml).unwrap();
            let mut exchange = Exchange::get("/", Instant::now());
            assert_eq!(exchange.hedge_after(), None);
            assert!(matches!(exchange.on_request(&filter).await, Ok(Flow::Continue)));
            assert_eq!(exchange.hedge_after(), Some(expected));
            assert_eq!(filter.describe(), description);
        }
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        for min_samples in [9, 1_000_001] {
            let error = build(&format!("{{ min_samples: {min_samples} }}")).unwrap_err();
            assert!(error.to_string().contains("10 to 1000000"), "{error}");
        }
        for after in ["p99", "0s", "2m", "", "50"] {
            let told = after.parse::<HedgeDelay>().unwrap_err().to_string();
            assert_eq!(told, format!("`{after}` is neither `p95` nor a time of 1ms to 1m"));
        }
    }
}
