//! Says where a configuration deviates from the secure edge profile, how bad that is, and what to change.
//!
//! The profile is a table of [rules](rule::Rule), by subject: each looks at one item of the resolved configuration, or at one
//! of the files that it names, and tells what it found if that deviates. Whatever has to be read besides the text is read once,
//! as [`Evidence`], so that a rule is a pure function. Nothing that serves goes by any of it.

mod evidence;
mod inspect;
mod networks;
#[cfg(test)]
mod reference;
mod report;
mod rule;
mod rules;

use std::path::Path;
use std::time::SystemTime;

use crate::config::{Config, SecretKeys, Source};

use evidence::Evidence;
pub(crate) use report::Audit;
pub(crate) use rule::Severity;

/// Looks at a configuration that nothing is wrong with, at the time `now`. Relative paths that it has not resolved start at
/// `folder`. What is secret among the settings of a filter, `secrets_of_filter` knows.
pub(crate) fn audit(
    (config, source): (&Config, &Source),
    folder: &Path,
    secrets_of_filter: &dyn Fn(&str) -> Option<SecretKeys>,
    now: SystemTime,
) -> Audit {
    let evidence = Evidence::gather((config, source), folder, secrets_of_filter, now);
    let found = rules::all().flat_map(|rule| rule.look(&evidence));
    Audit::new(found.collect(), &config.audit, &evidence)
}

#[cfg(test)]
mod tests;
