use crate::config::KeyPath;
use crate::config::spec::{RetryOn, RetrySpec};

use super::Resolver;

impl Resolver<'_> {
    pub(super) fn retry(&mut self, spec: RetrySpec, at: &KeyPath) -> RetrySpec {
        let on = spec.on.as_slice();
        if spec.per_try.0.is_some() && !on.contains(&RetryOn::Timeout) {
            self.warning(&at.child("per_try"), "it has no effect, since `on` does not name `timeout`")
                .help("add `timeout` to `on`, or set `timeouts.first_byte` for all attempts");
        }
        spec
    }
}
