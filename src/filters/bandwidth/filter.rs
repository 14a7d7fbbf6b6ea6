use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;
use tokio::time::Instant;

use crate::filters::{Limiter, own};
use crate::hooks::{
    BuildCx, BuildError, Filter, FilterCx, Flow, HookError, KeyParts, KeySpec, NO_KEY, Needs, RequestView,
};
use crate::types::{ByteRate, Rate};

use super::BandwidthSettings;

/// The filter `bandwidth`.
///
/// A piece goes on when the rate has made up for it, so that no stretch of time sees more than the burst and the rate allow,
/// however large pieces are. A filter goes on with what its predecessor on the route knows, as long as the rates, the burst
/// and the keys are the same.
#[derive(Debug)]
pub struct Bandwidth {
    down: Option<Direction>,
    up: Option<Direction>,
    /// None where each connection has its own rate.
    key: Option<KeySpec>,
    ipv6_prefix: u8,
    description: String,
}

/// The rate of a direction.
#[derive(Debug)]
struct Direction {
    limiter: Arc<Limiter>,
    bytes_per_second: f64,
}

/// When all that the filter has seen of an answer will have gone on.
#[derive(Clone, Copy, Debug)]
struct HeldUntil(Instant);

/// A request's key to the limit of each direction.
#[derive(Clone, Copy, Debug)]
struct Key {
    down: u128,
    up: u128,
}

/// A transfer that would have to rest for longer before it goes on is broken off: too many others have the same key.
const LONGEST: Duration = Duration::from_secs(60);

impl Bandwidth {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When neither `down` nor `up` is set, or one of them, `burst` or `keys` is out of its range.
    pub fn build(settings: BandwidthSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let down = settings.checked("down", settings.down)?;
        let up = settings.checked("up", settings.up)?;
        if down.is_none() && up.is_none() {
            let error = BuildError::new("neither `down` nor `up` is set, so nothing has a rate");
            return Err(error.with_help("write `down: 1MiB/s`, say"));
        }
        let keys = settings.checked_keys()?;
        let whose = settings.key.as_ref().map_or_else(|| "connection".to_owned(), ToString::to_string);
        let make = |direction: &str, rate: ByteRate, (limit, burst): (Rate, u32)| {
            let name = format!("{direction} {limit} burst {burst} of {keys} by {whose}");
            let make = || Limiter::new(limit, burst, keys);
            // Connections do not outlive the process.
            let limiter =
                if settings.key.is_some() { cx.keep_exported(&name, make) } else { cx.keep(&name, make) };
            Direction { limiter, bytes_per_second: rate.bytes_per_second() as f64 }
        };
        Ok(Self {
            description: describe(&settings, &whose),
            down: settings.down.zip(down).map(|(rate, limit)| make("down", rate, limit)),
            up: settings.up.zip(up).map(|(rate, limit)| make("up", rate, limit)),
            key: settings.key,
            ipv6_prefix: cx.ipv6_prefix(),
        })
    }

    fn key_of(&self, cx: &FilterCx<'_>) -> Key {
        if self.key.is_none() {
            let number = u128::from(cx.facts().connection);
            return Key { down: number, up: number };
        }
        own::kept(self, cx).copied().unwrap_or(Key { down: NO_KEY, up: NO_KEY })
    }
}

#[async_trait]
impl Filter for Bandwidth {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        let Some(spec) = &self.key else { return Ok(Flow::Continue) };
        let key = |direction: &Option<Direction>| {
            let limiter = &direction.as_ref()?.limiter;
            spec.hash(KeyParts::of(request, cx), self.ipv6_prefix, limiter.hasher())
        };
        let key = Key { down: key(&self.down).unwrap_or(NO_KEY), up: key(&self.up).unwrap_or(NO_KEY) };
        own::keep(self, key, cx);
        Ok(Flow::Continue)
    }

    fn on_request_body(
        &self,
        body: &mut Option<Bytes>,
        _: bool,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        if let (Some(up), Some(piece)) = (&self.up, passing(body)) {
            up.pass(self.key_of(cx).up, piece, LONGEST, cx)?;
        }
        Ok(())
    }

    fn on_response_body(
        &self,
        body: &mut Option<Bytes>,
        _: bool,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        if let (Some(down), Some(piece)) = (&self.down, passing(body)) {
            let held = own::kept(self, cx).map_or(cx.now(), |&HeldUntil(until)| until);
            // What others with the key wait for counts, and not what this answer has made them wait for.
            let behind = held.saturating_duration_since(cx.now());
            let patience = LONGEST + behind + down.time_of(piece);
            let pause = down.pass(self.key_of(cx).down, piece, patience, cx)?;
            own::keep(self, HeldUntil(cx.now() + pause), cx);
        }
        Ok(())
    }

    fn needs(&self) -> Needs {
        Needs::TUNNELS.and(Needs::PAUSES)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

impl Direction {
    /// How long the rate takes for a piece.
    fn time_of(&self, piece: &Bytes) -> Duration {
        Duration::from_secs_f64(piece.len() as f64 / self.bytes_per_second)
    }

    /// Has a piece pass evenly, so that all of it has when the rate has made up for it; how long that is from now on.
    fn pass(
        &self,
        key: u128,
        piece: &Bytes,
        patience: Duration,
        cx: &mut FilterCx<'_>,
    ) -> Result<Duration, HookError> {
        let amount = u32::try_from(piece.len()).unwrap_or(u32::MAX);
        // What is refused has not passed, and is no debt of the others with the key.
        let Some(pause) = self.limiter.charge_within(key, amount, cx.now(), patience) else {
            let error = HookError::new("too much of the same key waits to pass");
            return Err(error.with_status(StatusCode::SERVICE_UNAVAILABLE).with_cause("bandwidth_exceeded"));
        };
        cx.pace(pause.saturating_sub(self.time_of(piece)), pause);
        Ok(pause)
    }
}

fn passing(body: &Option<Bytes>) -> Option<&Bytes> {
    body.as_ref().filter(|piece| !piece.is_empty())
}

fn describe(settings: &BandwidthSettings, whose: &str) -> String {
    let direction = |name, rate: Option<ByteRate>| rate.map(|rate| format!("{rate} {name}"));
    let rates = [direction("down", settings.down), direction("up", settings.up)];
    let rates = rates.into_iter().flatten().collect::<Vec<_>>().join(", ");
    format!("{rates} per {whose}")
}

#[cfg(test)]
mod tests;
