//! The response fields that tell clients of the limit (draft-ietf-httpapi-ratelimit-headers-11).

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::hooks::HookError;
use crate::types::Rate;

pub(super) const RATELIMIT: HeaderName = HeaderName::from_static("ratelimit");
pub(super) const RATELIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

/// The tightest limit that a request passed under, kept until its response goes out.
#[derive(Clone, Debug)]
pub(super) struct Quota {
    pub(super) policy: HeaderValue,
    pub(super) remaining: u32,
    pub(super) reset: Duration,
}

impl Quota {
    /// `"default";r=49;t=1`: so many requests within so many seconds.
    pub(super) fn field(&self) -> Result<HeaderValue, HookError> {
        value(format!("\"default\";r={};t={}", self.remaining, whole_seconds(self.reset)))
    }
}

/// `"default";q=100;w=1`. The window is a whole number of seconds, as the draft wants it, so a period like 250ms
/// is told as the quota of one second.
pub(super) fn policy(rate: Rate) -> Result<HeaderValue, HookError> {
    /// The largest integer of a structured field (RFC 9651 §3.3.1).
    const MAX_INTEGER: u128 = 999_999_999_999_999;
    let window = whole_seconds(rate.per());
    let quota = u128::from(rate.count()) * u128::from(window) * 1_000_000_000 / rate.per().as_nanos();
    value(format!("\"default\";q={};w={window}", quota.min(MAX_INTEGER)))
}

/// Rounded up and at least 1, so that nobody comes back too early and no window is empty.
pub(super) fn whole_seconds(time: Duration) -> u64 {
    let started = u64::from(time.subsec_nanos() > 0);
    (time.as_secs() + started).max(1)
}

fn value(text: String) -> Result<HeaderValue, HookError> {
    HeaderValue::try_from(text).map_err(|error| HookError::new("a limit fits no header").with_source(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_policy_is_told_per_whole_seconds() {
        let policy = |rate: &str| policy(rate.parse().unwrap()).unwrap();
        assert_eq!(policy("100/s"), "\"default\";q=100;w=1");
        assert_eq!(policy("10/250ms"), "\"default\";q=40;w=1");
        assert_eq!(policy("30/1500ms"), "\"default\";q=40;w=2");
        assert_eq!(policy("600/m"), "\"default\";q=600;w=60");
        assert_eq!(policy("4294967295/1ns"), "\"default\";q=999999999999999;w=1");
    }

    #[test]
    fn seconds_are_rounded_up_to_one_or_more() {
        let cases = [(0, 1), (1, 1), (1_000, 1), (1_001, 2), (59_999, 60)];
        for (millis, expected) in cases {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), expected, "{millis} ms");
        }
    }
}
