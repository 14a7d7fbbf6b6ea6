use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::hooks::PickCx;
use crate::types::with_random;

use super::{Lease, Pick, Pool, QueueError};

/// What an endpoint is taken by, beside the policy.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// The endpoint that the client is to be brought back to.
    pub(crate) pinned: Option<usize>,
    /// The time of the first pick.
    pub(crate) now: Instant,
    /// How long it may take; `None` for as long as the pool's own limits allow.
    pub(crate) until: Option<Instant>,
}

/// An endpoint for a first attempt.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) lease: Lease,
    /// Whether that took time.
    pub(crate) has_waited: bool,
}

/// Why there is no endpoint for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unreserved {
    NobodyFit,
    /// As many wait as may.
    QueueFull,
    /// No place became free as soon as the pool's queue allows.
    QueueTimedOut,
    /// No place became free in the time that the request has.
    OutOfTime,
    /// The policy panicked or answered out of range.
    PolicyFailed,
}

/// Takes an endpoint of `pool`: it waits for the first probes of a pool that is new, and in line where nobody has room.
///
/// # Errors
/// When there is none in time, or nobody is fit.
pub(crate) async fn reserve<'c>(
    pool: &Pool,
    pick_cx: impl Fn(Instant) -> PickCx<'c>,
    terms: Terms,
) -> Result<Reserved, Unreserved> {
    let reserved = find(pool, pick_cx, terms).await;
    if let Err(why) = reserved {
        pool.lineage.stats.count_unreserved(why);
    }
    reserved
}

async fn find<'c>(
    pool: &Pool,
    pick_cx: impl Fn(Instant) -> PickCx<'c>,
    terms: Terms,
) -> Result<Reserved, Unreserved> {
    let pick = |now| with_random(|random| pool.pick(&pick_cx(now), terms.pinned, random));
    let mut has_waited = false;
    let mut picked = pick(terms.now);
    if matches!(picked, Pick::NobodyFit) && !pool.is_settled() {
        let patience = pool.health().map_or(Duration::ZERO, |health| health.timeout.get());
        let left = terms.until.map(|until| until.saturating_duration_since(Instant::now()));
        let patience = left.map_or(patience, |left| left.min(patience));
        has_waited = true;
        pool.wait_until_settled(patience).await;
        picked = pick(Instant::now());
    }
    let lease = match picked {
        Pick::Endpoint(lease) => lease,
        Pick::NoRoom => {
            has_waited = true;
            pool.lineage.stats.waited.count();
            wait_for_room(pool, pick_cx, terms.until).await?
        }
        Pick::NobodyFit => return Err(Unreserved::NobodyFit),
        Pick::PolicyFailed => {
            let policy = &pool.config().balance.policy;
            log::error!("policy failed pool={} policy={policy}", pool.name());
            return Err(Unreserved::PolicyFailed);
        }
    };
    Ok(Reserved { lease, has_waited })
}

async fn wait_for_room<'c>(
    pool: &Pool,
    pick_cx: impl Fn(Instant) -> PickCx<'c>,
    until: Option<Instant>,
) -> Result<Lease, Unreserved> {
    let pick = || with_random(|random| pool.pick_with_room(&pick_cx(Instant::now()), random));
    let waited = match until {
        None => pool.wait_for_room(pick).await,
        Some(until) => {
            timeout_at(until, pool.wait_for_room(pick)).await.map_err(|_| Unreserved::OutOfTime)?
        }
    };
    waited.map_err(|error| match error {
        QueueError::Full => Unreserved::QueueFull,
        QueueError::TimedOut => Unreserved::QueueTimedOut,
    })
}
