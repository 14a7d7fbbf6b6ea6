//! `timeout`: gives requests less time than their pool does.

use std::time::Duration;

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::hooks::{BuildCx, BuildError, Filter, FilterCx, Flow, HookError, RequestView};
use crate::types::Span;

/// Gives requests of the route less time than their pool does; what takes longer gets 504, or is cut off where its answer has
/// begun.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TimeoutSettings {
    /// All that a request may take, from its header to the last byte of its answer, with all attempts: 1ms or more. What the pool
    /// allows (`timeouts.total`) is the most all the same. Neither counts for tunnels, event streams and stored answers.
    pub total: Span,
}

/// The filter `timeout`.
#[derive(Debug)]
pub struct Timeout {
    total: Duration,
}

impl Timeout {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When there is no time at all.
    pub fn build(TimeoutSettings { total }: TimeoutSettings, _: &BuildCx<'_>) -> Result<Self, BuildError> {
        if total.get().is_zero() {
            return Err(BuildError::new("0s lets no request pass; 1ms or more is allowed").at("total"));
        }
        Ok(Self { total: total.get() })
    }
}

#[async_trait]
impl Filter for Timeout {
    async fn on_request(&self, _: &mut RequestView<'_>, cx: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        cx.limit_total(self.total);
        Ok(Flow::Continue)
    }

    fn describe(&self) -> String {
        format!("{} in all", humantime::format_duration(self.total))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::hooks::testing::{self, Exchange};

    fn build(total: &str) -> Result<Timeout, BuildError> {
        testing::build(TimeoutSettings { total: total.parse().unwrap() }, Timeout::build)
    }

    #[tokio::test]
    async fn the_shortest_limit_counts() {
        let mut exchange = Exchange::get("/", Instant::now());
        for (total, expected) in [("2s", 2000), ("5s", 2000), ("100ms", 100)] {
            let filter = build(total).unwrap();
            assert_eq!(filter.describe(), format!("{total} in all"));
            assert!(matches!(exchange.on_request(&filter).await, Ok(Flow::Continue)));
            assert_eq!(exchange.total_limit(), Some(Duration::from_millis(expected)));
        }
    }

    #[test]
    fn no_time_at_all_is_refused() {
        assert!(build("0s").unwrap_err().to_string().starts_with("0s lets no request pass"));
    }
}
