//! Pauses that filters make while bodies pass, for which neither the client nor the endpoint is to be blamed.

use std::time::Duration;

use pingora_proxy::Session;
use tokio::time::{Instant, sleep};

use crate::hooks::LONGEST_DELAY;
use crate::runtime::Cause;

use super::clock;
use super::cx::RequestCx;
use super::downstream::{Downstream, until_cut};

/// How long filters of the route may hold a piece up at most.
pub(super) fn longest(cx: &RequestCx) -> Duration {
    let may_pause = cx.route().is_some_and(|route| route.needs.pauses);
    if may_pause { LONGEST_DELAY } else { Duration::ZERO }
}

/// The pause that filters want before the piece goes on, which begins at once: every limit that runs ends later by it.
pub(super) fn take(cx: &mut RequestCx) -> Option<Duration> {
    let pause = std::mem::take(&mut cx.bounds.delay);
    if pause.is_zero() || longest(cx).is_zero() {
        return None;
    }
    cx.paused += pause;
    if let Some(watchdog) = &cx.watchdog {
        watchdog.on_pause(pause);
    }
    if let Some(clock) = &mut cx.clock {
        clock.on_pause(pause);
    }
    Some(pause)
}

/// The same, while an endpoint and a session of Pingora's wait as well.
pub(super) fn begin(session: &mut Session, cx: &mut RequestCx) -> Option<Duration> {
    let pause = take(cx)?;
    // The session counts from its next wait on.
    clock::wind(session, cx, Instant::now() + pause);
    Some(pause)
}

/// Waits for the end of a pause, or of the process.
pub(super) async fn rest(client: &impl Downstream, pause: Duration) -> Result<(), Cause> {
    tokio::select! {
        () = sleep(pause) => Ok(()),
        () = until_cut(client) => Err(Cause::Cut),
    }
}
