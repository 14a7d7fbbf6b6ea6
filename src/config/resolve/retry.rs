use crate::config::KeyPath;
use crate::config::spec::{OutlierLimits, RetryOn, RetrySpec};

use super::Resolver;

impl Resolver<'_> {
    pub(super) fn outlier(&mut self, limits: OutlierLimits, at: &KeyPath) -> OutlierLimits {
        if limits.eject > limits.max_eject {
            let message = format!("it is longer than `max_eject`, which is {}", limits.max_eject);
            self.warning(&at.child("eject"), message)
                .help("raise `max_eject`, else no ejection lasts longer");
        }
        limits
    }

    pub(super) fn retry(&mut self, spec: RetrySpec, at: &KeyPath) -> RetrySpec {
        let on = spec.on.as_slice();
        if spec.per_try.0.is_some() && !on.contains(&RetryOn::Timeout) {
            self.warning(&at.child("per_try"), "it has no effect, since `on` does not name `timeout`")
                .help("add `timeout` to `on`, or set `timeouts.first_byte` for all attempts");
        }
        spec
    }
}
