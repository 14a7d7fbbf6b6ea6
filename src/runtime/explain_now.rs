//! What an answer tells besides where a process runs: who is fit, what is in flight, whom the policy would pick.

use std::fmt::Write;

use crate::hooks::{KeyParts, PickCx, PickNotes};
use crate::pools::{Endpoint, Pool};
use crate::types::with_random;

use super::Route;
use super::report::{SampledReport, in_words, write_sampled};

/// A pool's endpoints as they are now, and whom its policy would pick.
pub(super) fn write_pool(pool: &Pool, cx: &PickCx<'_>, out: &mut String) -> std::fmt::Result {
    let panic = if pool.is_in_panic() { ", in panic: all serve that can be connected to" } else { "" };
    writeln!(
        out,
        "pool       {}: {}, {} in flight, {} waiting{panic}",
        pool.name(),
        pool.config().balance.policy,
        pool.in_flight(),
        pool.waiting()
    )?;
    for endpoint in pool.endpoints() {
        write_endpoint(endpoint, cx, out)?;
    }
    write_pick(pool, cx, out)
}

fn write_endpoint(endpoint: &Endpoint, cx: &PickCx<'_>, out: &mut String) -> std::fmt::Result {
    let (address, state) = (endpoint.address().to_string(), endpoint.state().as_str());
    write!(
        out,
        "  {address:<24} {state}, weight {}, {} of {} in flight",
        endpoint.weight(),
        endpoint.in_flight(),
        endpoint.config().max_requests
    )?;
    match endpoint.load().latency(cx.now()) {
        Some(latency) => writeln!(out, ", {:.1} ms", latency * 1000.0),
        None => writeln!(out, ", no answer yet"),
    }
}

fn write_pick(pool: &Pool, cx: &PickCx<'_>, out: &mut String) -> std::fmt::Result {
    let notes = PickNotes::default();
    let asked = PickCx { notes: Some(&notes), ..*cx };
    let Some(picked) = with_random(|random| pool.preview(&asked, random)) else {
        return writeln!(out, "now        nobody: no endpoint is fit");
    };
    let told = notes.take();
    let by = told.by.map(|by| format!(" by {}", in_words(by.word()))).unwrap_or_default();
    writeln!(out, "now        it would pick {picked}{by}")?;
    SampledReport::all(&told).iter().try_for_each(|sampled| write_sampled(out, sampled))
}

/// What a route's filters have to say of such a request at this moment, where they have counted something.
pub(super) fn write_filters(route: &Route, cx: &PickCx<'_>, out: &mut String) -> std::fmt::Result {
    for (place, step) in route.filters.iter().enumerate() {
        if let Some(told) = step.filter.describe_now(KeyParts::from(cx), cx.now()) {
            writeln!(out, "  {}. now: {told}", place + 1)?;
        }
    }
    Ok(())
}
