use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use http::StatusCode;

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
    down: Option<Arc<Limiter>>,
    up: Option<Arc<Limiter>>,
    /// None where each connection has its own rate.
    key: Option<KeySpec>,
    ipv6_prefix: u8,
    description: String,
}

/// A request's key to the limit of each direction.
#[derive(Clone, Copy, Debug)]
struct Key {
    down: u128,
    up: u128,
}

/// A transfer that would have to rest for longer is broken off: too many others have the same key.
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
        let limiter = |direction: &str, (rate, burst): (Rate, u32)| {
            let name = format!("{direction} {rate} burst {burst} of {keys} by {whose}");
            let make = || Limiter::new(rate, burst, keys);
            // Connections do not outlive the process.
            if settings.key.is_some() { cx.keep_exported(&name, make) } else { cx.keep(&name, make) }
        };
        Ok(Self {
            description: describe(&settings, &whose),
            down: down.map(|limit| limiter("down", limit)),
            up: up.map(|limit| limiter("up", limit)),
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
        let key = |limiter: &Option<Arc<Limiter>>| {
            let limiter = limiter.as_ref()?;
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
        let Some(limiter) = &self.up else { return Ok(()) };
        pass(limiter, self.key_of(cx).up, body.as_ref(), cx)
    }

    fn on_response_body(
        &self,
        body: &mut Option<Bytes>,
        _: bool,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        let Some(limiter) = &self.down else { return Ok(()) };
        pass(limiter, self.key_of(cx).down, body.as_ref(), cx)
    }

    fn needs(&self) -> Needs {
        Needs::TUNNELS.and(Needs::PAUSES)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

fn pass(limiter: &Limiter, key: u128, piece: Option<&Bytes>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
    let Some(piece) = piece.filter(|piece| !piece.is_empty()) else { return Ok(()) };
    // Pieces are some tens of KiB.
    let amount = u32::try_from(piece.len()).unwrap_or(u32::MAX);
    // What is refused has not passed, and is no debt of the others with the key.
    let Some(pause) = limiter.charge_within(key, amount, cx.now(), LONGEST) else {
        let error = HookError::new("too much of the same key waits to pass");
        return Err(error.with_status(StatusCode::SERVICE_UNAVAILABLE).with_cause("bandwidth_exceeded"));
    };
    cx.delay(pause);
    Ok(())
}

fn describe(settings: &BandwidthSettings, whose: &str) -> String {
    let direction = |name, rate: Option<ByteRate>| rate.map(|rate| format!("{rate} {name}"));
    let rates = [direction("down", settings.down), direction("up", settings.up)];
    let rates = rates.into_iter().flatten().collect::<Vec<_>>().join(", ");
    format!("{rates} per {whose}")
}

#[cfg(test)]
mod tests;
