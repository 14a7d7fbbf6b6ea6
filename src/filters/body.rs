//! `body`: lets requests have smaller bodies than their listener does.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::hooks::{BuildCx, BuildError, Filter, FilterCx, Flow, HookError, RequestView};
use crate::types::ByteSize;

/// Lets requests of the route have smaller bodies than their listener does; larger ones get 413.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BodySettings {
    /// The largest body, as it comes: of a call of gRPC, the largest message. What the listener allows (`limits.body.size`) is
    /// the most all the same. `0B` for none.
    pub max: ByteSize,
}

/// The filter `body`.
#[derive(Debug)]
pub struct BodyLimit {
    max: ByteSize,
}

impl BodyLimit {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// None.
    pub fn build(BodySettings { max }: BodySettings, _: &BuildCx<'_>) -> Result<Self, BuildError> {
        Ok(Self { max })
    }
}

#[async_trait]
impl Filter for BodyLimit {
    async fn on_request(&self, _: &mut RequestView<'_>, cx: &mut FilterCx<'_>) -> Result<Flow, HookError> {
        cx.limit_body(self.max.bytes());
        Ok(Flow::Continue)
    }

    fn describe(&self) -> String {
        format!("up to {}", self.max)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::hooks::testing::{self, Exchange};

    #[tokio::test]
    async fn the_smallest_limit_counts() {
        let mut exchange = Exchange::get("/", Instant::now());
        for (max, expected) in [("1KiB", 1024), ("1MiB", 1024), ("0B", 0)] {
            let settings = BodySettings { max: max.parse().unwrap() };
            let filter = testing::build(settings, BodyLimit::build).unwrap();
            assert_eq!(filter.describe(), format!("up to {max}"));
            assert!(matches!(exchange.on_request(&filter).await, Ok(Flow::Continue)));
            assert_eq!(exchange.body_limit(), Some(expected));
        }
    }
}
