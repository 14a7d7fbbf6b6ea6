//! Pauses that filters make while bodies pass, for which neither the client nor the endpoint is to be blamed.
//!
//! A piece of an answer is handed on at once, and whoever writes it to the client [holds it up](Downstream::hold): what was
//! written before it goes out, a long piece is cut, and a request that has to end does so.

use std::time::Duration;

use pingora_proxy::Session;
use tokio::time::{Instant, sleep_until};

use crate::hooks::LONGEST_DELAY;
use crate::runtime::{Cause, Hold};

use super::clock;
use super::cx::RequestCx;
use super::downstream::{Downstream, until_cut};

/// A pause that filters want.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pause {
    pub(super) hold: Hold,
    /// So much of it is not part of earlier ones.
    pub(super) added: Duration,
}

/// How long filters of the route may hold a piece up at most before it begins to pass.
pub(super) fn longest(cx: &RequestCx) -> Duration {
    let may_pause = cx.route().is_some_and(|route| route.needs.pauses);
    if may_pause { LONGEST_DELAY } else { Duration::ZERO }
}

/// The pause that filters want for a piece, which begins at once: every limit that runs ends later by it. `None` where no
/// filter of the route makes any.
pub(super) fn take(cx: &mut RequestCx) -> Option<Pause> {
    if longest(cx).is_zero() {
        return None;
    }
    let (from, until) = (std::mem::take(&mut cx.bounds.delay_from), std::mem::take(&mut cx.bounds.delay));
    let now = Instant::now();
    let hold = Hold { from: now + from, until: now + until };
    let rests_until = cx.held_until.map_or(now, |held| held.max(now));
    let added = hold.until.saturating_duration_since(rests_until);
    if added.is_zero() {
        return Some(Pause { hold, added });
    }
    cx.held_until = Some(hold.until);
    cx.paused += added;
    if let Some(watchdog) = &cx.watchdog {
        watchdog.on_pause(added);
    }
    if let Some(clock) = &mut cx.clock {
        clock.on_pause(added);
    }
    Some(Pause { hold, added })
}

/// The same, while an endpoint and a session of Pingora's wait as well.
pub(super) fn begin(session: &mut Session, cx: &mut RequestCx) -> Option<Pause> {
    let pause = take(cx)?;
    if !pause.added.is_zero() {
        // The session counts from its next wait on.
        clock::wind(session, cx, pause.hold.until);
    }
    Some(pause)
}

/// Waits for the end of a pause, or of the process.
pub(super) async fn rest(client: &impl Downstream, pause: Pause) -> Result<(), Cause> {
    if pause.added.is_zero() {
        return Ok(());
    }
    tokio::select! {
        () = sleep_until(pause.hold.until) => Ok(()),
        () = until_cut(client) => Err(Cause::Cut),
    }
}
