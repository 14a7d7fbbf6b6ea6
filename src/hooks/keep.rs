//! What hooks keep over reloads, and over the hand-over to another process.

mod former;

use std::any::{Any, TypeId};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::types::{CacheName, ListenerName, PoolName, RouteName, StoreName};

use super::{Export, Job};
use former::{Former, Left, LeftState};

/// The states that the hooks of one configuration keep. The next configuration is assembled with them, and takes over
/// those that its own hooks ask for.
#[derive(Default)]
pub(crate) struct Kept {
    states: HashMap<Key, State>,
    former: Former,
    handed: Option<Handed>,
}

/// One state as it is handed to another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exported {
    pub(crate) scope: String,
    pub(crate) name: String,
    pub(crate) standing: KeptStanding,
    pub(crate) bytes: Vec<u8>,
}

/// Whom a state is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum KeptStanding {
    /// The configuration that is served, and the next one.
    #[default]
    Passing,
    /// These, and later those by which a configuration comes back that had it.
    Returning,
    /// Those alone: what is served has none of it.
    Former,
}

/// One use of a hook in a configuration, by what it is found again in the next one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scope(Box<str>);

/// The states while a configuration is assembled: those before, and those that were asked for again or made.
#[derive(Debug)]
pub(crate) struct Keeping<'p> {
    previous: &'p Kept,
    /// When a configuration of before comes back, if one does.
    back_at: Option<Instant>,
    next: Mutex<Kept>,
}

/// The states of one scope.
#[derive(Clone, Copy, Debug)]
pub(super) struct Keeper<'a> {
    pub(super) keeping: &'a Keeping<'a>,
    pub(super) scope: &'a Scope,
}

/// What a process has handed over, until somebody asks for it.
struct Handed {
    at: Instant,
    states: HashMap<(Scope, Box<str>), (KeptStanding, Vec<u8>)>,
}

#[derive(Clone, PartialEq, Eq, Hash)]
struct Key {
    scope: Scope,
    name: Box<str>,
    state: TypeId,
}

#[derive(Clone)]
struct State {
    value: Arc<dyn Any + Send + Sync>,
    export: Option<ExportState>,
    job: Option<Arc<dyn Job>>,
    standing: KeptStanding,
}

/// [`Export::export`] of a type that is known no more.
type ExportState = fn(&(dyn Any + Send + Sync), Instant) -> Option<Vec<u8>>;

/// A state that takes more room than this is not handed over.
const MOST_BYTES: usize = 64 << 20;

// === Kept ===

impl Kept {
    /// What another process has exported at the time `at`, as this process's clock has it. It is there for the first
    /// configuration only.
    pub(crate) fn import(states: Vec<Exported>, at: Instant) -> Self {
        let mut former = Former::default();
        let mut handed = Handed { at, states: HashMap::new() };
        for Exported { scope, name, standing, bytes } in states {
            let (scope, name) = (Scope(scope.into()), name.into());
            if standing == KeptStanding::Former {
                former.push(Left { scope, name, what: LeftState::Handed { bytes, at } });
            } else {
                handed.states.insert((scope, name), (standing, bytes));
            }
        }
        Self { states: HashMap::new(), former, handed: Some(handed) }
    }

    /// The jobs among the states.
    pub(crate) fn jobs(&self) -> Vec<Arc<dyn Job>> {
        self.states.values().filter_map(|state| state.job.clone()).collect()
    }

    /// What can be handed to another process. Takes a moment where much is kept.
    pub(crate) fn export(&self, now: Instant) -> Vec<Exported> {
        let served = self.states.iter().filter_map(|(key, state)| {
            Some(exported(&key.scope, &key.name, state.standing, state.exported(now)?))
        });
        let former = self.former.iter().filter_map(|left| {
            let bytes = match &left.what {
                LeftState::Here(state) => state.exported(now)?,
                LeftState::Handed { bytes, .. } => bytes.clone(),
            };
            Some(exported(&left.scope, &left.name, KeptStanding::Former, bytes))
        });
        served.chain(former).flatten().collect()
    }

    /// Remembers what `previous` has left that may come back, unless it is kept here.
    fn remember(&mut self, previous: &Self) {
        self.former = previous.former.clone();
        for (key, state) in &previous.states {
            if state.standing == KeptStanding::Returning {
                self.former.push(Left::here(key, state));
            }
        }
        if let Some(Handed { at, states }) = &previous.handed {
            for ((scope, name), (standing, bytes)) in states {
                if *standing == KeptStanding::Returning {
                    let what = LeftState::Handed { bytes: bytes.clone(), at: *at };
                    self.former.push(Left { scope: scope.clone(), name: name.clone(), what });
                }
            }
        }
        let kept: HashSet<_> = self.states.keys().map(|key| (&key.scope, &key.name)).collect();
        self.former.retain(|left| !kept.contains(&(&left.scope, &left.name)));
    }
}

/// A state as it is handed over, unless there is too much of it.
fn exported(scope: &Scope, name: &str, standing: KeptStanding, bytes: Vec<u8>) -> Option<Exported> {
    let (scope, name) = (scope.to_string(), name.to_owned());
    if bytes.len() > MOST_BYTES {
        log::warn!("state is too large to be handed over scope={scope} name={name:?} bytes={}", bytes.len());
        return None;
    }
    Some(Exported { scope, name, standing, bytes })
}

impl State {
    fn plain<T: Send + Sync + 'static>(value: Arc<T>) -> Self {
        Self { value, export: None, job: None, standing: KeptStanding::Passing }
    }

    fn exported(&self, now: Instant) -> Option<Vec<u8>> {
        self.export?(&*self.value, now)
    }
}

fn export_state<T: Export>(state: &(dyn Any + Send + Sync), now: Instant) -> Option<Vec<u8>> {
    state.downcast_ref::<T>().map(|state| state.export(now))
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.states.keys().map(|key| (&key.scope, &key.name));
        f.debug_struct("Kept").field("states", &names.collect::<Vec<_>>()).finish_non_exhaustive()
    }
}

// === Scope ===

impl Scope {
    /// A filter on a route, by its number among those of that name.
    pub(crate) fn filter(route: &RouteName, filter: &str, number: usize) -> Self {
        Self(format!("routes/{route}/{filter}/{number}").into())
    }

    /// What all hooks share.
    pub(crate) fn shared() -> &'static Self {
        static SHARED: LazyLock<Scope> = LazyLock::new(|| Scope("shared".into()));
        &SHARED
    }

    /// A store.
    pub(crate) fn store(name: &StoreName) -> Self {
        Self(format!("stores/{name}").into())
    }

    /// A store of answers.
    pub(crate) fn cache(cache: &CacheName) -> Self {
        Self(format!("caches/{cache}").into())
    }

    /// The split of a route.
    pub(crate) fn split(route: &RouteName) -> Self {
        Self(format!("splits/{route}").into())
    }

    /// A route as a whole.
    pub(crate) fn route(route: &RouteName) -> Self {
        Self(format!("routes/{route}").into())
    }

    /// A listener.
    pub(crate) fn listener(listener: &ListenerName) -> Self {
        Self(format!("listeners/{listener}").into())
    }

    /// Spans and their collector.
    pub(crate) fn tracing() -> Self {
        Self("tracing".into())
    }

    /// The error pages of the server.
    pub(crate) fn error_pages() -> Self {
        Self("error_pages".into())
    }

    /// The policy of a pool.
    pub(crate) fn policy(pool: &PoolName) -> Self {
        Self(format!("pools/{pool}").into())
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

// === Keeping ===

impl<'p> Keeping<'p> {
    pub(crate) fn new(previous: &'p Kept) -> Self {
        Self { previous, back_at: None, next: Mutex::default() }
    }

    /// For a configuration that was served before, with what it had then.
    pub(crate) fn going_back(previous: &'p Kept, now: Instant) -> Self {
        Self { back_at: Some(now), ..Self::new(previous) }
    }

    /// What was asked for; all else is gone with the configuration before, or waits for that to come back.
    pub(crate) fn into_kept(self) -> Kept {
        let mut kept = self.next.into_inner();
        kept.remember(self.previous);
        kept
    }

    /// The state that was kept under this name if it `still_fits`, or what `make` makes.
    pub(crate) fn keep_while<T: Send + Sync + 'static>(
        &self,
        scope: &Scope,
        name: &str,
        make: impl FnOnce() -> T,
        still_fits: impl FnOnce(&T) -> bool,
    ) -> Arc<T> {
        let key = Key { scope: scope.clone(), name: name.into(), state: TypeId::of::<T>() };
        let known = self.known(&key).filter(|known| still_fits(known));
        let value = known.unwrap_or_else(|| Arc::new(make()));
        self.next.lock().states.insert(key, State::plain(value.clone()));
        value
    }

    /// What is counted under this name, as it was.
    pub(crate) fn counts<T: Default + Send + Sync + 'static>(&self, scope: &Scope, name: &str) -> Arc<T> {
        self.keep_while(scope, name, T::default, |_| true)
    }

    fn known<T: Send + Sync + 'static>(&self, key: &Key) -> Option<Arc<T>> {
        let of = |kept: &Kept| kept.states.get(key).map(|state| state.value.clone());
        let asked_for = of(&self.next.lock());
        asked_for.or_else(|| of(self.previous))?.downcast().ok()
    }

    /// What another process has exported, or a configuration has left that comes back, and when. The latter is not used as
    /// it is: while it was not served, time has passed.
    fn handed(&self, scope: &Scope, name: &str) -> Option<(Cow<'_, [u8]>, Instant)> {
        if let Some(handed) = &self.previous.handed
            && let Some((_, bytes)) = handed.states.get(&(scope.clone(), name.into()))
        {
            return Some((bytes.into(), handed.at));
        }
        let now = self.back_at?;
        match self.previous.former.find(scope, name)? {
            LeftState::Here(state) => Some((state.exported(now)?.into(), now)),
            LeftState::Handed { bytes, at } => Some((bytes.into(), *at)),
        }
    }
}

impl Keeper<'_> {
    pub(super) fn keep<T: Send + Sync + 'static>(self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        self.keep_state(name, State::plain, make)
    }

    pub(super) fn keep_job<J: Job + 'static>(self, name: &str, make: impl FnOnce() -> J) -> Arc<J> {
        self.keep_state(name, |job| State { job: Some(job.clone()), ..State::plain(job) }, make)
    }

    pub(super) fn keep_exported<T: Export>(
        self,
        name: &str,
        standing: KeptStanding,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let exported = |state| State { export: Some(export_state::<T>), standing, ..State::plain(state) };
        self.keep_state(name, exported, || {
            let mut state = make();
            self.import(name, &mut state);
            state
        })
    }

    fn keep_state<T: Send + Sync + 'static>(
        self,
        name: &str,
        kept_as: impl FnOnce(Arc<T>) -> State,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        let key = Key { scope: self.scope.clone(), name: name.into(), state: TypeId::of::<T>() };
        // No lock is held meanwhile: whoever makes a state may ask for another one.
        let state = self.keeping.known(&key).unwrap_or_else(|| Arc::new(make()));
        self.keeping.next.lock().states.insert(key, kept_as(state.clone()));
        state
    }

    fn import<T: Export>(self, name: &str, state: &mut T) {
        let Some((bytes, at)) = self.keeping.handed(self.scope, name) else { return };
        if let Err(error) = state.import(&bytes, at) {
            let scope = self.scope;
            log::warn!("state that was handed over is of no use scope={scope} name={name:?} error={error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use crate::hooks::{BuildCx, ImportError};

    use super::*;

    /// Lets `ask` build a hook in a scope, as a reload would, and gives what it kept.
    fn reload(previous: &Kept, scope: &Scope, ask: impl FnOnce(BuildCx<'_>)) -> Kept {
        let keeping = Keeping::new(previous);
        ask(BuildCx::new(&[], 64).keeping(&keeping, scope));
        keeping.into_kept()
    }

    fn scope(number: usize) -> Scope {
        Scope::filter(&"api".parse().unwrap(), "count", number)
    }

    /// The state, as far as it was there already.
    fn found(cx: BuildCx<'_>, name: &str) -> Option<u32> {
        let mut made = false;
        let state = cx.keep(name, || {
            made = true;
            7_u32
        });
        (!made).then_some(*state)
    }

    #[test]
    fn a_state_is_found_again_by_scope_name_and_type() {
        let first = reload(&Kept::default(), &scope(0), |cx| assert_eq!(found(cx, "a"), None));
        reload(&first, &scope(0), |cx| {
            assert_eq!(found(cx, "b"), None);
            assert_eq!(*cx.keep("a", || "another type"), "another type");
            assert_eq!(found(cx, "a"), Some(7));
        });
        reload(&first, &scope(1), |cx| assert_eq!(found(cx, "a"), None));
        let pool = Scope::policy(&"api".parse().unwrap());
        reload(&first, &pool, |cx| assert_eq!(found(cx, "a"), None));
        assert_eq!(found(BuildCx::new(&[], 64), "a"), None, "where nothing is kept, it is made");
    }

    #[test]
    fn what_no_longer_fits_is_made_anew() {
        let kept = {
            let (nothing, scope) = (Kept::default(), scope(0));
            let keeping = Keeping::new(&nothing);
            keeping.keep_while(&scope, "a", || 7, |_| true);
            keeping.into_kept()
        };
        let keeping = Keeping::new(&kept);
        assert_eq!(*keeping.keep_while(&scope(0), "a", || 8, |known| *known == 7), 7);
        let keeping = Keeping::new(&kept);
        assert_eq!(*keeping.keep_while(&scope(0), "a", || 8, |known| *known == 8), 8);
    }

    #[test]
    fn what_nobody_asks_for_is_gone_and_what_is_asked_for_twice_is_one() {
        let first = reload(&Kept::default(), &scope(0), |cx| {
            assert_eq!([found(cx, "a"), found(cx, "b"), found(cx, "a")], [None, None, Some(7)]);
        });
        let second = reload(&first, &scope(0), |cx| assert_eq!(found(cx, "b"), Some(7)));
        reload(&second, &scope(0), |cx| assert_eq!([found(cx, "a"), found(cx, "b")], [None, Some(7)]));
    }

    #[test]
    fn a_configuration_that_comes_to_nothing_takes_nothing() {
        let shared = Arc::new(AtomicU32::new(0));
        let ask = |cx: BuildCx<'_>| drop(cx.keep("a", || shared.clone()));
        let first = reload(&Kept::default(), &scope(0), ask);
        drop(reload(&first, &scope(0), ask));
        assert_eq!(Arc::strong_count(&shared), 2, "once here, once in the state");
        reload(&first, &scope(0), |cx| {
            assert!(Arc::ptr_eq(&*cx.keep("a", Arc::<AtomicU32>::default), &shared));
        });
    }

    struct Count(AtomicU32);

    impl Export for Count {
        fn export(&self, _: Instant) -> Vec<u8> {
            self.0.load(Ordering::Relaxed).to_be_bytes().to_vec()
        }

        fn import(&mut self, bytes: &[u8], _: Instant) -> Result<(), ImportError> {
            let count = bytes.try_into().map_err(|_| ImportError::new("no number"))?;
            self.0 = AtomicU32::new(u32::from_be_bytes(count));
            Ok(())
        }
    }

    fn count(cx: BuildCx<'_>, name: &str) -> u32 {
        cx.keep_exported(name, || Count(AtomicU32::new(1))).0.fetch_add(1, Ordering::Relaxed)
    }

    #[test]
    fn what_is_handed_over_waits_for_the_hook_that_asks_for_it() {
        let now = Instant::now();
        let old = reload(&Kept::default(), &scope(0), |cx| {
            assert_eq!([count(cx, "a"), count(cx, "a"), count(cx, "b")], [1, 2, 1]);
            assert_eq!(found(cx, "not to be exported"), None);
        });
        let mut exported = old.export(now);
        exported.sort_by(|one, other| one.name.cmp(&other.name));
        let bytes = |name: &str, bytes: [u8; 4]| {
            let (scope, name) = ("routes/api/count/0".to_owned(), name.to_owned());
            Exported { scope, name, standing: KeptStanding::Passing, bytes: bytes.to_vec() }
        };
        assert_eq!(exported, [bytes("a", [0, 0, 0, 3]), bytes("b", [0, 0, 0, 2])]);
        let taken = Kept::import(exported, now);
        reload(&taken, &scope(1), |cx| assert_eq!(count(cx, "a"), 1));
        let new = reload(&taken, &scope(0), |cx| assert_eq!([count(cx, "a"), count(cx, "c")], [3, 1]));
        reload(&new, &scope(0), |cx| assert_eq!([count(cx, "a"), count(cx, "b")], [4, 1]));
    }

    #[test]
    fn bytes_that_cannot_be_read_are_none() {
        let (scope_name, name) = (scope(0).to_string(), "a".to_owned());
        let standing = KeptStanding::Passing;
        let broken = Exported { scope: scope_name, name, standing, bytes: vec![1] };
        let taken = Kept::import(vec![broken], Instant::now());
        reload(&taken, &scope(0), |cx| assert_eq!(count(cx, "a"), 1));
    }

    fn returning(cx: BuildCx<'_>, name: &str) -> u32 {
        cx.keep_returning(name, || Count(AtomicU32::new(1))).0.fetch_add(1, Ordering::Relaxed)
    }

    /// As [`reload`], back to a configuration of before.
    fn go_back(previous: &Kept, ask: impl FnOnce(BuildCx<'_>)) -> Kept {
        let keeping = Keeping::going_back(previous, Instant::now());
        ask(BuildCx::new(&[], 64).keeping(&keeping, &scope(0)));
        keeping.into_kept()
    }

    fn handed_over(kept: &Kept) -> Kept {
        Kept::import(kept.export(Instant::now()), Instant::now())
    }

    #[test]
    fn what_returns_waits_for_its_configuration_to_come_back() {
        let nothing = |previous: &Kept| reload(previous, &scope(0), |_| ());
        let had = reload(&Kept::default(), &scope(0), |cx| {
            assert_eq!([returning(cx, "a"), count(cx, "b")], [1, 1]);
        });
        let without = nothing(&nothing(&had));
        reload(&without, &scope(0), |cx| {
            assert_eq!(returning(cx, "a"), 1, "it only looks like that of before")
        });
        let back = go_back(&without, |cx| assert_eq!([returning(cx, "a"), count(cx, "b")], [2, 1]));
        // Both use it, and there is one of it.
        reload(&back, &scope(0), |cx| assert_eq!(returning(cx, "a"), 3));
        assert_eq!(back.export(Instant::now()).len(), 2);
        go_back(&nothing(&back), |cx| assert_eq!(returning(cx, "a"), 4));
    }

    #[test]
    fn what_returns_does_so_in_other_processes_too() {
        let nothing = |previous: &Kept| reload(previous, &scope(0), |_| ());
        let had = reload(&Kept::default(), &scope(0), |cx| {
            assert_eq!([returning(cx, "a"), returning(cx, "a")], [1, 2]);
        });
        for without in [
            nothing(&handed_over(&had)),
            nothing(&handed_over(&nothing(&had))),
            handed_over(&nothing(&handed_over(&nothing(&had)))),
        ] {
            reload(&without, &scope(0), |cx| assert_eq!(returning(cx, "a"), 1));
            go_back(&without, |cx| assert_eq!(returning(cx, "a"), 3));
        }
        reload(&handed_over(&had), &scope(0), |cx| assert_eq!(returning(cx, "a"), 3));
    }
}
