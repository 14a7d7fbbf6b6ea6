//! Versions of what operators can change, whatever is counted meanwhile: a change that names one (`If-Match`) is made only
//! if nobody else has changed anything there since.

use std::fmt::Write;

use crate::config::spec::LogLevel;
use crate::runtime::{EndpointStatus, PoolStatus, SplitStatus};

use super::tag::Tag;

/// The version of all that can be changed of a pool under this generation of the configuration.
pub(in crate::admin) fn of_pool(generation: u64, pool: &PoolStatus) -> Tag {
    let mut text = heading(generation, "pool", &pool.name);
    pool.endpoints.iter().for_each(|endpoint| write_endpoint(endpoint, &mut text));
    Tag::of(text.as_bytes())
}

/// The version of one endpoint of a pool.
pub(in crate::admin) fn of_endpoint(generation: u64, pool: &str, endpoint: &EndpointStatus) -> Tag {
    let mut text = heading(generation, "endpoint", pool);
    write_endpoint(endpoint, &mut text);
    Tag::of(text.as_bytes())
}

/// The version of all weights of a split and the course of its canary.
pub(in crate::admin) fn of_split(generation: u64, split: &SplitStatus) -> Tag {
    let mut text = heading(generation, "split", &split.route);
    for side in &split.to {
        // Writing into a String cannot fail.
        let _ = writeln!(text, "{} {} {}", side.pool, side.weight, side.share_percent);
    }
    if let Some(canary) = &split.canary {
        let _ = writeln!(text, "{} {} {}", canary.pool, canary.phase.as_str(), canary.paused);
    }
    Tag::of(text.as_bytes())
}

/// The version of the level of messages.
pub(in crate::admin) fn of_level(generation: u64, level: LogLevel) -> Tag {
    Tag::of(heading(generation, "level", &level.to_string()).as_bytes())
}

/// Names have neither spaces nor line ends in them.
fn heading(generation: u64, kind: &str, name: &str) -> String {
    format!("{generation} {kind} {name}\n")
}

fn write_endpoint(endpoint: &EndpointStatus, text: &mut String) {
    let EndpointStatus { address, weight, state, ejections, ejected_for_ms, ordered_out_until, .. } =
        endpoint;
    let (drained, ejected) = (state.is_in_drain(), ejected_for_ms.is_some());
    let ordered = ordered_out_until.as_deref().unwrap_or("-");
    let _ = writeln!(text, "{weight} {drained} {ejected} {ordered} {ejections} {address}");
}
