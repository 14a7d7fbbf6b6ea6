mod look;
mod split;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::cache::{Purge, Purged};
use crate::pools::{Endpoint, Pool, State};
use crate::types::{EndpointAddr, Weight, closest};

use super::{Changes, Live};

/// What operators may see and do while the process runs: the one way to it, whatever they ask through.
///
/// What they change holds until they change it again, or the process ends.
#[derive(Debug)]
pub(crate) struct Control {
    live: Arc<Live>,
    changes: Arc<dyn Changes>,
    began: Instant,
    /// Held over a change and its message, so that each change is told once and in order.
    changing: Mutex<()>,
}

/// An endpoint as operators name it: `POOL/ENDPOINT`. Where weights are meant, also a pool of a split: `ROUTE/POOL`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct Target {
    pool: String,
    endpoint: String,
}

/// A text that is no `POOL/ENDPOINT`.
#[derive(Debug, thiserror::Error)]
#[error("write POOL/ENDPOINT, like app/127.0.0.1:9001")]
pub(crate) struct InvalidTarget;

/// Why nothing was changed or told.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ControlError {
    #[error("no pool named `{found}`{help}")]
    UnknownPool { found: String, help: Known },
    #[error("no cache named `{found}`{help}")]
    NoSuchCache { found: String, help: Known },
    #[error("pool `{pool}` has no endpoint `{found}`{help}")]
    UnknownEndpoint { pool: String, found: String, help: Known },
    #[error("no route with a split is named `{found}`{help}")]
    UnknownSplit { found: String, help: Known },
    #[error("the split of route `{route}` has no pool `{found}`{help}")]
    UnknownSide { route: String, found: String, help: Known },
    #[error(
        "the share of `{pool}` is that of a canary, which has no weight\n  help: steer it with `evener canary {route} ORDER`"
    )]
    WeightOfCanary { route: String, pool: String },
    #[error(
        "`{pool}` is the last one with a weight, so that no request could go anywhere\n  help: give another one a weight first"
    )]
    LastWeight { pool: String },
    #[error("the split of route `{route}` has no canary")]
    NoCanary { route: String },
    #[error("the canary of route `{route}` has ended\n  help: `restart` begins it anew")]
    CanaryEnded { route: String },
}

/// What there is instead of a name that is unknown.
#[derive(Debug)]
pub(crate) struct Known {
    closest: Option<String>,
    all: Vec<String>,
}

/// An endpoint that an operator took out, to be watched while it finishes its work.
#[derive(Debug)]
pub(crate) struct Drain {
    endpoint: Arc<Endpoint>,
}

/// What an endpoint's weight was and is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct WeightChange {
    pub(crate) from: u16,
    pub(crate) to: u16,
}

// === ControlError ===

impl ControlError {
    /// Whether something was named that there is not.
    pub(crate) fn is_unknown(&self) -> bool {
        match self {
            Self::UnknownPool { .. }
            | Self::NoSuchCache { .. }
            | Self::UnknownEndpoint { .. }
            | Self::UnknownSplit { .. }
            | Self::UnknownSide { .. } => true,
            Self::WeightOfCanary { .. }
            | Self::LastWeight { .. }
            | Self::NoCanary { .. }
            | Self::CanaryEnded { .. } => false,
        }
    }
}

// === Control ===

impl Control {
    pub(crate) fn new(live: Arc<Live>, changes: Arc<dyn Changes>) -> Self {
        Self { live, changes, began: Instant::now(), changing: Mutex::new(()) }
    }

    /// What is served.
    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Changes of the process as a whole.
    pub(crate) fn changes(&self) -> &dyn Changes {
        &*self.changes
    }

    /// Removes stored answers from all caches, or from one of them.
    ///
    /// # Errors
    /// When there is no cache of that name.
    pub(crate) async fn purge(&self, cache: Option<&str>, purge: &Purge) -> Result<Purged, ControlError> {
        let snapshot = self.live.snapshot();
        let caches =
            snapshot.caches.iter().filter(|known| cache.is_none_or(|name| known.name.as_str() == name));
        let caches: Vec<_> = caches.collect();
        if let (Some(name), []) = (cache, &*caches) {
            let known = snapshot.caches.iter().map(|cache| cache.name.to_string()).collect();
            return Err(ControlError::NoSuchCache {
                found: name.to_owned(),
                help: Known::for_name(name, known),
            });
        }
        Ok(Purged::from_all(caches, purge).await)
    }

    /// Takes an endpoint out: it gets no new work and finishes the old.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub(crate) fn drain(&self, target: &Target, now: Instant) -> Result<Drain, ControlError> {
        let (pool, endpoint) = self.find(target)?;
        self.change(&pool, &endpoint, || pool.set_drained(&endpoint, true, now));
        Ok(Drain { endpoint })
    }

    /// Takes an endpoint in again, whoever took it out; tells its state then.
    ///
    /// # Errors
    /// When there is no such endpoint.
    pub(crate) fn undo_drain(&self, target: &Target, now: Instant) -> Result<State, ControlError> {
        let (pool, endpoint) = self.find(target)?;
        self.change(&pool, &endpoint, || pool.set_drained(&endpoint, false, now));
        Ok(endpoint.state())
    }

    /// Changes an endpoint's share, or a pool's of a split. A weight of 0 drains an endpoint, and any other ends a drain.
    ///
    /// # Errors
    /// When there is no such endpoint and no such pool, or the pool has to keep its weight.
    pub(crate) fn set_weight(
        &self,
        target: &Target,
        weight: Weight,
        now: Instant,
    ) -> Result<WeightChange, ControlError> {
        if let Some(change) = self.set_split_weight(target, weight) {
            return change;
        }
        let (pool, endpoint) = self.find(target)?;
        Ok(self.change(&pool, &endpoint, || pool.set_weight(&endpoint, weight, now)))
    }

    /// Makes a change and tells what came of it; nothing where all was so already.
    fn change(&self, pool: &Pool, endpoint: &Endpoint, change: impl FnOnce()) -> WeightChange {
        let _alone = self.changing.lock();
        let before = (endpoint.weight(), endpoint.state().is_in_drain());
        change();
        let after = (endpoint.weight(), endpoint.state().is_in_drain());
        let (pool, address) = (pool.name(), endpoint.address());
        let (from, to) = (before.0, after.0);
        if from != to {
            log::info!(
                "endpoint is weighted by an operator pool={pool} endpoint={address} from={from} to={to}"
            );
        }
        match (before.1, after.1) {
            (false, true) => log::info!("endpoint is drained by an operator pool={pool} endpoint={address}"),
            (true, false) => {
                log::info!("endpoint is taken in again by an operator pool={pool} endpoint={address}");
            }
            _ => {}
        }
        WeightChange { from, to }
    }

    fn find(&self, target: &Target) -> Result<(Arc<Pool>, Arc<Endpoint>), ControlError> {
        let snapshot = self.live.snapshot();
        let pool = find_pool(&snapshot.pools, &target.pool)?;
        Ok((pool.clone(), find_endpoint(pool, &target.endpoint)?.clone()))
    }
}

fn find_pool<'p>(pools: &'p [Arc<Pool>], name: &str) -> Result<&'p Arc<Pool>, ControlError> {
    let found = pools.iter().find(|pool| pool.name().as_str() == name);
    found.ok_or_else(|| ControlError::UnknownPool {
        found: name.to_owned(),
        help: Known::for_name(name, pools.iter().map(|pool| pool.name().to_string()).collect()),
    })
}

/// The address is compared as a value, so that one that is written in another way is found, too.
fn find_endpoint<'p>(pool: &'p Pool, text: &str) -> Result<&'p Arc<Endpoint>, ControlError> {
    let address = text.parse::<EndpointAddr>().ok();
    let mut endpoints = pool.endpoints().iter();
    let found = endpoints.find(|endpoint| address.as_ref() == Some(&**endpoint.address()));
    found.ok_or_else(|| {
        let all = pool.endpoints().iter().map(|endpoint| endpoint.address().to_string()).collect();
        let help = Known::for_name(text, all);
        ControlError::UnknownEndpoint { pool: pool.name().to_string(), found: text.to_owned(), help }
    })
}

impl Drain {
    /// Draining, drained, or something else once the drain was undone.
    pub(crate) fn state(&self) -> State {
        self.endpoint.state()
    }

    /// Requests that it has yet to finish.
    pub(crate) fn in_flight(&self) -> u32 {
        self.endpoint.in_flight()
    }
}

// === Target ===

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        // Names of pools have no slash, addresses may.
        match text.split_once('/') {
            Some((pool, endpoint)) if !pool.is_empty() && !endpoint.is_empty() => {
                Ok(Self { pool: pool.to_owned(), endpoint: endpoint.to_owned() })
            }
            _ => Err(InvalidTarget),
        }
    }
}

impl TryFrom<String> for Target {
    type Error = InvalidTarget;

    fn try_from(text: String) -> Result<Self, InvalidTarget> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.pool, self.endpoint)
    }
}

// === Known ===

/// More names than this are not told.
const MOST_TOLD: usize = 20;

impl Known {
    fn for_name(name: &str, all: Vec<String>) -> Self {
        let closest = closest(name, all.iter().map(String::as_str)).map(str::to_owned);
        Self { closest, all }
    }
}

impl fmt::Display for Known {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(closest) = &self.closest {
            write!(f, "\n  help: did you mean `{closest}`?")?;
        }
        let told = self.all[..self.all.len().min(MOST_TOLD)].join(", ");
        match self.all.len() - self.all.len().min(MOST_TOLD) {
            0 if told.is_empty() => f.write_str("\n  help: there is none"),
            0 => write!(f, "\n  help: there is {told}"),
            more => write!(f, "\n  help: there is {told} and {more} more"),
        }
    }
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::config::Origin;
    use crate::runtime::{Registry, Unchanging, assemble};

    fn control() -> Control {
        let text = "listeners: { web: { bind: 127.0.0.1:0 } }
pools:
  app: { endpoints: [127.0.0.1:9001, { address: 127.0.0.1:9002, weight: 3, zone: a, max_requests: 7 }] }
  local: { endpoints: ['unix:/run/a/b.sock', '[::1]:80'] }
routes: [{ pool: app }, { match: { path: /x }, pool: local }]
";
        let origin = Origin::test(text);
        let assembled = assemble(&origin, &Registry::with_built_ins(), None).unwrap();
        Control::new(Arc::new(Live::new(assembled.snapshot)), Arc::new(Unchanging))
    }

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    #[test]
    fn status_tells_pools_and_their_endpoints() {
        let (control, now) = (control(), Instant::now());
        let status = control.status(None, now).unwrap();
        assert_eq!(status.pools.iter().map(|pool| &*pool.name).collect::<Vec<_>>(), ["app", "local"]);
        let [app] = &control.status(Some("app"), now).unwrap().pools[..] else { panic!("one pool") };
        assert_eq!((&*app.balance, app.fit, app.in_flight, app.panic), ("peak_ewma", 2, 0, false));
        let second = &app.endpoints[1];
        assert_eq!((&*second.address, second.state, second.weight), ("127.0.0.1:9002", State::Fit, 3));
        assert_eq!((second.zone.as_deref(), second.max_requests), (Some("a"), 7));
        assert_eq!((second.latency_ms, second.slow_start_percent, second.ejected_for_ms), (None, None, None));
    }

    #[test]
    fn endpoints_are_taken_out_and_in_and_weighted() {
        let (control, now) = (control(), Instant::now());
        let second = target("app/127.0.0.1:9002");
        let state = || control.status(Some("app"), now).unwrap().pools[0].endpoints[1].state;
        let drain = control.drain(&second, now).unwrap();
        assert_eq!((drain.state(), drain.in_flight(), state()), (State::Drained, 0, State::Drained));
        assert_eq!(control.undo_drain(&second, now).unwrap(), State::Fit);
        let weigh = |weight: &str| {
            let change = control.set_weight(&second, weight.parse().unwrap(), now).unwrap();
            (change.from, change.to, state())
        };
        assert_eq!(weigh("0"), (3, 0, State::Drained));
        assert_eq!(weigh("5"), (0, 5, State::Fit));
    }

    #[test]
    fn what_does_not_exist_is_told_with_what_does() {
        let (control, now) = (control(), Instant::now());
        let told = |text: &str| control.drain(&target(text), now).unwrap_err().to_string();
        assert_eq!(
            told("ap/127.0.0.1:9001"),
            "no pool named `ap`\n  help: did you mean `app`?\n  help: there is app, local"
        );
        assert_eq!(
            told("app/127.0.0.1:9003").split_once('\n').unwrap().0,
            "pool `app` has no endpoint `127.0.0.1:9003`"
        );
        assert!(told("app/9002").ends_with("\n  help: there is 127.0.0.1:9001, 127.0.0.1:9002"));
        assert!(control.status(Some("lcoal"), now).unwrap_err().to_string().contains("mean `local`?"));
    }

    #[test]
    fn an_address_may_be_written_in_another_way() {
        let (control, now) = (control(), Instant::now());
        control.drain(&target("local/[0:0::1]:80"), now).unwrap();
        control.drain(&target("local/unix:/run/a/b.sock"), now).unwrap();
    }

    #[test]
    fn a_target_has_two_parts() {
        for text in ["app", "app/", "/127.0.0.1:1", ""] {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
        assert_eq!(target("app/unix:run/x.sock").to_string(), "app/unix:run/x.sock");
    }

    #[test]
    fn long_lists_are_cut() {
        let known = Known::for_name("x", (0..25).map(|n| n.to_string()).collect());
        assert!(known.to_string().ends_with(" 19 and 5 more"));
        assert_eq!(Known::for_name("x", Vec::new()).to_string(), "\n  help: there is none");
    }
}
