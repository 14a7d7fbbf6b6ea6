use schemars::JsonSchema;
use serde::Deserialize;

use crate::hooks::BuildError;
use crate::types::{Percent, Span};

use super::control::Bounds;

/// Lets as many requests be under way at once as are served without queueing, which it learns from how long their answers
/// take to begin. What is over that is refused with 503.
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AdaptiveConcurrencySettings {
    /// So many requests may be under way in any case, 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub min: u32,
    /// More are never under way, 1 to 1000000.
    #[schemars(range(min = 1, max = 1_000_000))]
    pub max: u32,
    /// From one look at how long requests take to the next, 10ms to 10s; longer while fewer than ten are answered.
    pub sample: Span,
    /// How long it is believed how long requests take without a queue, 1s to 1h. It is measured anew then, with half as many
    /// requests under way for a moment.
    pub remeasure: Span,
    /// By what part requests may take longer than they do without a queue before they are held back, 0% to 100%.
    pub headroom: Percent,
}

impl Default for AdaptiveConcurrencySettings {
    fn default() -> Self {
        Self {
            min: 4,
            max: 1000,
            sample: Span::from_millis(100),
            remeasure: Span::from_secs(60),
            headroom: Percent::new(10),
        }
    }
}

const MOST: u32 = 1_000_000;

impl AdaptiveConcurrencySettings {
    pub(super) fn checked(&self) -> Result<Bounds, BuildError> {
        let Self { min, max, sample, remeasure, headroom } = self;
        for (key, count) in [("min", *min), ("max", *max)] {
            if !(1..=MOST).contains(&count) {
                return Err(BuildError::new(format!("{count} requests; 1 to 1000000 are allowed")).at(key));
            }
        }
        if min > max {
            return Err(BuildError::new(format!("it is more than `max`, which is {max}")).at("min"));
        }
        let within = |key, span: &Span, least: u64, most: u64| {
            let (least, most) = (Span::from_millis(least), Span::from_millis(most));
            let is_within = (least.get()..=most.get()).contains(&span.get());
            let told = || BuildError::new(format!("`{span}`; {least} to {most} is allowed")).at(key);
            if is_within { Ok(span.get()) } else { Err(told()) }
        };
        if headroom.get() > 100 {
            return Err(BuildError::new(format!("`{headroom}`; 0% to 100% is allowed")).at("headroom"));
        }
        let headroom = f64::from(headroom.get()) / 100.0;
        Ok(Bounds {
            min: *min,
            max: *max,
            sample: within("sample", sample, 10, 10_000)?,
            base_for: within("remeasure", remeasure, 1_000, 3_600_000)?,
            headroom,
        })
    }
}
