mod endpoints;
mod known;
mod look;
mod split;
mod tap;

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::cache::{Purge, Purged};
use crate::config::spec::LogLevel;
use crate::pools::{Endpoint, Pool};
use crate::types::{EndpointAddr, Span};

use super::explain::explain_now;
use super::{Actor, Changes, Deed, Live, Tap, TooManyTaps, Unanswerable, What, WrittenQuestion};

pub(crate) use endpoints::{Drain, EjectionTime};
pub(crate) use known::Known;
pub(crate) use look::Recent;

/// What operators may see and do while the process runs: the one way to it, whatever they ask through.
///
/// What they change holds until they change it again, or the process ends.
#[derive(Debug)]
pub(crate) struct Control {
    live: Arc<Live>,
    changes: Arc<dyn Changes>,
    began: Instant,
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
    #[error("no route named `{found}`{help}")]
    UnknownRoute { found: String, help: Known },
    #[error("no listener named `{found}`{help}")]
    UnknownListener { found: String, help: Known },
    #[error(
        "listener `{0}` passes on what it does not read, and only requests of HTTP are looked at\n  help: the access log tells of its \
         connections, and `evener status` how many there are"
    )]
    Unread(String),
    #[error("no pool has an endpoint `{found}`{help}")]
    UnknownAddress { found: String, help: Known },
    #[error("no request ends with the cause `{found}`{help}")]
    UnknownCause { found: String, help: Known },
    #[error("requests are looked at for {longest} at most, not for {found}", longest = Tap::LONGEST)]
    LooksTooLong { found: Span },
    #[error(transparent)]
    TooManyTaps(#[from] TooManyTaps),
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
    #[error("what is served cannot be read again\n  help: `evener reload` serves the file anew")]
    Unreadable,
    #[error("the split of route `{route}` has no canary")]
    NoCanary { route: String },
    #[error("the canary of route `{route}` has ended\n  help: `restart` begins it anew")]
    CanaryEnded { route: String },
    #[error("the program that this process belongs to writes the messages, and chooses their level")]
    NoMessages,
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
            | Self::UnknownRoute { .. }
            | Self::UnknownListener { .. }
            | Self::UnknownAddress { .. }
            | Self::UnknownCause { .. }
            | Self::UnknownEndpoint { .. }
            | Self::UnknownSplit { .. }
            | Self::UnknownSide { .. } => true,
            Self::Unread(_)
            | Self::LooksTooLong { .. }
            | Self::TooManyTaps(_)
            | Self::WeightOfCanary { .. }
            | Self::LastWeight { .. }
            | Self::NoCanary { .. }
            | Self::CanaryEnded { .. }
            | Self::NoMessages
            | Self::Unreadable => false,
        }
    }
}

// === Control ===

impl Control {
    pub(crate) fn new(live: Arc<Live>, changes: Arc<dyn Changes>) -> Self {
        Self { live, changes, began: Instant::now() }
    }

    /// What is served.
    pub(crate) fn live(&self) -> &Arc<Live> {
        &self.live
    }

    /// Changes of the process as a whole.
    pub(crate) fn changes(&self) -> &dyn Changes {
        &*self.changes
    }

    /// Does something while nobody else makes a change of what runs: to look at it first, and to change it by that.
    pub(crate) fn alone<T>(&self, work: impl FnOnce() -> T) -> T {
        let _alone = self.live.alone();
        work()
    }

    /// What would become of a request at this moment, and why.
    ///
    /// # Errors
    /// When the question cannot be answered.
    pub(crate) fn explain(&self, question: &WrittenQuestion) -> Result<String, Unanswerable> {
        explain_now(&self.live.snapshot(), &question.read().ok_or(Unanswerable::Unreadable)?)
    }

    /// Removes stored answers from all caches, or from one of them.
    ///
    /// # Errors
    /// When there is no cache of that name.
    pub(crate) async fn purge(
        &self,
        cache: Option<&str>,
        purge: &Purge,
        by: &Actor,
        now: Instant,
    ) -> Result<Purged, ControlError> {
        let target = format!("{} of {}", purge, cache.unwrap_or("all caches"));
        let purged = self.purge_unnoted(cache, purge).await;
        let purged = self.audited(purged, What::Purge, &target, by, now)?;
        let deed = Deed::done(What::Purge, purged.answers > 0).to(target);
        self.changes.audit().record(by, deed.until(format!("{} removed", purged.answers)), now);
        Ok(purged)
    }

    async fn purge_unnoted(&self, cache: Option<&str>, purge: &Purge) -> Result<Purged, ControlError> {
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

    /// The least important messages that are written, as far as this library writes them.
    pub(crate) fn log_level(&self) -> Option<LogLevel> {
        self.changes.log_level()
    }

    /// Changes that until the configuration is read again, which has one of its own. Tells what it was.
    ///
    /// # Errors
    /// When this library writes none.
    pub(crate) fn set_log_level(
        &self,
        level: LogLevel,
        by: &Actor,
        now: Instant,
    ) -> Result<LogLevel, ControlError> {
        let _alone = self.live.alone();
        let changed = self.changes.set_log_level(level).ok_or(ControlError::NoMessages);
        let from = self.audited(changed, What::Log, level, by, now)?;
        self.changes.audit().record(by, Deed::done(What::Log, from != level).from(from).until(level), now);
        Ok(from)
    }

    /// Notes an attempt that came to nothing.
    fn audited<T>(
        &self,
        tried: Result<T, ControlError>,
        what: What,
        target: impl fmt::Display,
        by: &Actor,
        now: Instant,
    ) -> Result<T, ControlError> {
        tried.inspect_err(|error| {
            self.changes.audit().record(by, Deed::refused(what, error).to(target), now);
        })
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

// === Target ===

impl Target {
    pub(crate) fn new(pool: &str, endpoint: &str) -> Self {
        Self { pool: pool.to_owned(), endpoint: endpoint.to_owned() }
    }
}

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

#[cfg(test)]
mod tests {

    use super::*;
    use crate::config::Origin;
    use crate::pools::State;
    use crate::runtime::{DeedResult, Registry, Unchanging, assemble};

    fn control() -> Control {
        let text = "listeners: { web: { bind: 127.0.0.1:0 } }
pools:
  app: { endpoints: [127.0.0.1:9001, { address: 127.0.0.1:9002, weight: 3, zone: a, max_requests: 7 }] }
  local: { endpoints: ['unix:/run/a/b.sock', '[::1]:80'] }
routes: [{ pool: app }, { match: { path: /x }, pool: local }]
";
        let origin = Origin::test(text);
        let assembled = assemble(&origin, &Registry::with_built_ins(), None).unwrap();
        Control::new(Arc::new(Live::new(assembled.snapshot)), Arc::new(Unchanging::default()))
    }

    fn target(text: &str) -> Target {
        text.parse().unwrap()
    }

    fn by() -> Actor {
        Actor::user(7)
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
        let status = || control.status(Some("app"), now).unwrap().pools.remove(0).endpoints.remove(1);
        let state = || status().state;
        let drain = control.drain(&second, &by(), now).unwrap();
        assert_eq!((drain.state(), drain.in_flight(), state()), (State::Drained, 0, State::Drained));
        assert_eq!(status().reason.as_deref(), Some("taken out by an operator"));
        assert_eq!(control.undo_drain(&second, &by(), now).unwrap(), State::Fit);
        let weigh = |weight: &str| {
            let change = control.set_weight(&second, weight.parse().unwrap(), &by(), now).unwrap();
            (change.from, change.to, state())
        };
        assert_eq!(weigh("0"), (3, 0, State::Drained));
        assert_eq!(status().reason.as_deref(), Some("its weight is 0"));
        assert_eq!(weigh("5"), (0, 5, State::Fit));
    }

    #[test]
    fn an_endpoint_is_left_out_for_some_time_or_until_it_is_taken_in() {
        let (control, now) = (control(), Instant::now());
        let second = target("app/127.0.0.1:9002");
        let eject = |time: &str| control.eject(&second, time.parse().unwrap(), &by(), now).unwrap();
        let left = || control.status(Some("app"), now).unwrap().pools[0].endpoints[1].ejected_for_ms;
        assert_eq!((eject("5m"), left()), (State::Ejected, Some(300_000)));
        assert_eq!((eject("10s"), left()), (State::Ejected, Some(10_000)));
        assert_eq!((control.undo_drain(&second, &by(), now).unwrap(), left()), (State::Fit, None));
        for time in ["0s", "999ms", "61m", "5", ""] {
            assert!(time.parse::<EjectionTime>().is_err(), "{time:?}");
        }
    }

    #[test]
    fn who_has_changed_what_is_noted_and_what_was_so_already_too() {
        let (control, now) = (control(), Instant::now());
        let second = target("app/127.0.0.1:9002");
        control.drain(&second, &by(), now).unwrap();
        control.drain(&second, &by(), now).unwrap();
        control.set_weight(&second, "5".parse().unwrap(), &by(), now).unwrap();
        control.eject(&second, "60s".parse().unwrap(), &by(), now).unwrap();
        control.drain(&target("ap/x"), &by(), now).unwrap_err();
        let noted: Vec<_> = control.changes().audit().recent();
        let told: Vec<_> = noted
            .iter()
            .map(|entry| (entry.what, entry.result, entry.before.as_deref(), entry.after.as_deref()))
            .collect();
        let (whole, out) = (Some("weight 3"), Some("weight 3, in drain"));
        assert_eq!(
            told,
            [
                (What::Drain, DeedResult::Changed, whole, out),
                (What::Drain, DeedResult::Unchanged, out, out),
                (What::Weight, DeedResult::Changed, out, Some("weight 5")),
                (What::Eject, DeedResult::Changed, Some("weight 5"), Some("weight 5, ejected for 1m")),
                (What::Drain, DeedResult::Refused, None, None),
            ]
        );
        let last = noted.last().unwrap();
        assert_eq!((&*last.who, &*last.from), ("uid 7", "control socket"));
        assert_eq!(
            (last.target.as_deref(), last.reason.as_deref()),
            (Some("ap/x"), Some("no pool named `ap`"))
        );
    }

    #[test]
    fn a_change_waits_for_another_configuration_and_finds_what_that_has() {
        let text = |port: u16| {
            format!(
                "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
                 pools: {{ app: {{ endpoints: [127.0.0.1:{port}] }} }}\nroutes: [{{ pool: app }}]\n"
            )
        };
        let registry = Registry::with_built_ins();
        let before = assemble(&Origin::test(text(9001)), &registry, None).unwrap();
        let after = assemble(&Origin::test(text(9002)), &registry, Some(&before)).unwrap().snapshot;
        let live = Arc::new(Live::new(before.snapshot));
        let control = Control::new(live.clone(), Arc::new(Unchanging::default()));
        std::thread::scope(|scope| {
            let alone = live.alone();
            let drain = |address: &str| control.drain(&target(address), &by(), Instant::now()).map(drop);
            let gone = scope.spawn(move || drain("app/127.0.0.1:9001"));
            let new = scope.spawn(move || drain("app/127.0.0.1:9002"));
            live.replace(after.clone());
            after.take_over(Instant::now());
            drop(alone);
            assert!(gone.join().unwrap().unwrap_err().to_string().contains("no endpoint `127.0.0.1:9001`"));
            new.join().unwrap().unwrap();
        });
        let status = control.status(Some("app"), Instant::now()).unwrap();
        assert_eq!(status.pools[0].endpoints[0].state, State::Drained);
    }

    #[test]
    fn what_does_not_exist_is_told_with_what_does() {
        let (control, now) = (control(), Instant::now());
        let told = |text: &str| control.drain(&target(text), &by(), now).unwrap_err().to_string();
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
        control.drain(&target("local/[0:0::1]:80"), &by(), now).unwrap();
        control.drain(&target("local/unix:/run/a/b.sock"), &by(), now).unwrap();
    }

    #[test]
    fn a_target_has_two_parts() {
        for text in ["app", "app/", "/127.0.0.1:1", ""] {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
        assert_eq!(target("app/unix:run/x.sock").to_string(), "app/unix:run/x.sock");
    }
}
