use std::fmt;
use std::sync::Arc;

use crate::pools::{Endpoint, Pool, State, UNRESERVED};

use super::families as f;
use super::writer::Writer;

pub(super) fn write(writer: &mut Writer<'_>, pools: &[Arc<Pool>]) -> fmt::Result {
    sums(writer, pools)?;
    endpoints(writer, pools)
}

fn sums(writer: &mut Writer<'_>, pools: &[Arc<Pool>]) -> fmt::Result {
    let all = || pools.iter().map(|pool| (pool.name().as_str(), pool));
    let mut series = writer.family(&f::POOL_IN_FLIGHT)?;
    all().try_for_each(|(name, pool)| series.gauge([name], pool.in_flight()))?;
    let mut series = writer.family(&f::POOL_PICKS)?;
    all().try_for_each(|(name, pool)| series.counter([name], pool.counts().picks))?;
    let mut series = writer.family(&f::POOL_CONNECTIONS)?;
    all().try_for_each(|(name, pool)| series.counter([name], pool.tally().connections()))?;
    let mut series = writer.family(&f::POOL_ERRORS)?;
    for (name, pool) in all() {
        pool.tally().errors().try_for_each(|(cause, count)| series.counter([name, cause], count))?;
    }
    let mut series = writer.family(&f::POOL_SENT)?;
    all().try_for_each(|(name, pool)| series.counter([name], pool.tally().sent()))?;
    let mut series = writer.family(&f::POOL_RECEIVED)?;
    all().try_for_each(|(name, pool)| series.counter([name], pool.tally().received()))?;
    let mut series = writer.family(&f::POOL_WAITING)?;
    all().try_for_each(|(name, pool)| series.gauge([name], pool.waiting() as u64))?;
    let mut series = writer.family(&f::POOL_WAITED)?;
    all().try_for_each(|(name, pool)| series.counter([name], pool.counts().waited))?;
    let mut series = writer.family(&f::POOL_UNSERVED)?;
    for (name, pool) in all() {
        for (reason, count) in UNRESERVED.into_iter().zip(pool.counts().unreserved) {
            series.counter([name, reason], count)?;
        }
    }
    let mut series = writer.family(&f::POOL_RETRIES)?;
    all().try_for_each(|(name, pool)| series.counter([name], pool.counts().retries))?;
    let mut series = writer.family(&f::POOL_RETRIES_REFUSED)?;
    all().try_for_each(|(name, pool)| series.counter([name], pool.counts().retries_refused))?;
    let mut series = writer.family(&f::POOL_HEDGES)?;
    all().try_for_each(|(name, pool)| series.counter([name], pool.counts().hedges))?;
    let mut series = writer.family(&f::POOL_ENDPOINTS)?;
    for (name, pool) in all() {
        for state in State::ALL {
            let count = pool.endpoints().iter().filter(|endpoint| endpoint.state() == state).count();
            series.gauge([name, state.as_str()], count as u64)?;
        }
    }
    let mut series = writer.family(&f::POOL_PANIC)?;
    all().try_for_each(|(name, pool)| series.gauge([name], i64::from(pool.is_in_panic())))?;
    let mut series = writer.family(&f::POOL_LATENCY)?;
    all().try_for_each(|(name, pool)| series.histogram([name], &pool.latencies()))
}

fn endpoints(writer: &mut Writer<'_>, pools: &[Arc<Pool>]) -> fmt::Result {
    let mut named: Vec<(&str, String, &Endpoint)> = Vec::new();
    for pool in pools {
        let endpoints = pool.endpoints().iter();
        named.extend(
            endpoints.map(|endpoint| (pool.name().as_str(), endpoint.address().to_string(), &**endpoint)),
        );
    }
    let all = || named.iter().map(|(pool, address, endpoint)| ([*pool, address.as_str()], *endpoint));
    let mut series = writer.family(&f::ENDPOINT_STATE)?;
    for ([pool, address], endpoint) in all() {
        let now = endpoint.state();
        for state in State::ALL {
            series.gauge([pool, address, state.as_str()], i64::from(state == now))?;
        }
    }
    let mut series = writer.family(&f::ENDPOINT_WEIGHT)?;
    all().try_for_each(|(labels, endpoint)| series.gauge(labels, u32::from(endpoint.weight())))?;
    let mut series = writer.family(&f::ENDPOINT_IN_FLIGHT)?;
    all().try_for_each(|(labels, endpoint)| series.gauge(labels, endpoint.in_flight()))?;
    let mut series = writer.family(&f::ENDPOINT_PICKS)?;
    all().try_for_each(|(labels, endpoint)| series.counter(labels, endpoint.load().picks()))?;
    let mut series = writer.family(&f::ENDPOINT_FAILURES)?;
    all().try_for_each(|(labels, endpoint)| series.counter(labels, endpoint.load().failures()))?;
    let mut series = writer.family(&f::ENDPOINT_ERRORS)?;
    for ([pool, address], endpoint) in all() {
        let mut errors = endpoint.tally().errors();
        errors.try_for_each(|(cause, count)| series.counter([pool, address, cause], count))?;
    }
    let mut series = writer.family(&f::ENDPOINT_CONNECTIONS)?;
    all().try_for_each(|(labels, endpoint)| series.counter(labels, endpoint.tally().connections()))?;
    let mut series = writer.family(&f::ENDPOINT_SENT)?;
    all().try_for_each(|(labels, endpoint)| series.counter(labels, endpoint.tally().sent()))?;
    let mut series = writer.family(&f::ENDPOINT_RECEIVED)?;
    all().try_for_each(|(labels, endpoint)| series.counter(labels, endpoint.tally().received()))?;
    let mut series = writer.family(&f::ENDPOINT_EJECTIONS)?;
    all().try_for_each(|(labels, endpoint)| series.counter(labels, endpoint.counts().ejections))?;
    let mut series = writer.family(&f::ENDPOINT_PROBES)?;
    for ([pool, address], endpoint) in all() {
        let counts = endpoint.counts();
        series.counter([pool, address, "passed"], counts.probes_passed)?;
        series.counter([pool, address, "failed"], counts.probes_failed)?;
    }
    let mut series = writer.family(&f::ENDPOINT_LATENCY)?;
    all().try_for_each(|(labels, endpoint)| series.histogram(labels, &endpoint.latencies()))
}
