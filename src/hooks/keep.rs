//! What hooks keep over reloads, and over the hand-over to another process.

use std::any::{Any, TypeId};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, LazyLock};

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::types::{CacheName, ListenerName, PoolName, RouteName, StoreName};

use super::{Export, Job};

/// The states that the hooks of one configuration keep. The next configuration is assembled with them, and takes over
/// those that its own hooks ask for.
#[derive(Default)]
pub(crate) struct Kept {
    states: HashMap<Key, State>,
    handed: Option<Handed>,
}

/// One state as it is handed to another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exported {
    pub(crate) scope: String,
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

/// One use of a hook in a configuration, by what it is found again in the next one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Scope(Box<str>);

/// The states while a configuration is assembled: those before, and those that were asked for again or made.
#[derive(Debug)]
pub(crate) struct Keeping<'p> {
    previous: &'p Kept,
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
    states: HashMap<(Scope, Box<str>), Vec<u8>>,
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
        let of = |Exported { scope, name, bytes }| ((Scope(scope.into()), name.into()), bytes);
        let handed = Handed { at, states: states.into_iter().map(of).collect() };
        Self { states: HashMap::new(), handed: Some(handed) }
    }

    /// The jobs among the states.
    pub(crate) fn jobs(&self) -> Vec<Arc<dyn Job>> {
        self.states.values().filter_map(|state| state.job.clone()).collect()
    }

    /// What can be handed to another process. Takes a moment where much is kept.
    pub(crate) fn export(&self, now: Instant) -> Vec<Exported> {
        self.states.iter().filter_map(|(key, state)| key.exported(state, now)).collect()
    }
}

impl Key {
    fn exported(&self, state: &State, now: Instant) -> Option<Exported> {
        let bytes = state.export?(&*state.value, now)?;
        let (scope, name) = (self.scope.to_string(), self.name.to_string());
        if bytes.len() > MOST_BYTES {
            log::warn!(
                "state is too large to be handed over scope={scope} name={name:?} bytes={}",
                bytes.len()
            );
            return None;
        }
        Some(Exported { scope, name, bytes })
    }
}

impl State {
    fn plain<T: Send + Sync + 'static>(value: Arc<T>) -> Self {
        Self { value, export: None, job: None }
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
        Self { previous, next: Mutex::default() }
    }

    /// What was asked for; all else is gone with the configuration before.
    pub(crate) fn into_kept(self) -> Kept {
        self.next.into_inner()
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
}

impl Keeper<'_> {
    pub(super) fn keep<T: Send + Sync + 'static>(self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        self.keep_state(name, State::plain, make)
    }

    pub(super) fn keep_job<J: Job + 'static>(self, name: &str, make: impl FnOnce() -> J) -> Arc<J> {
        self.keep_state(name, |job| State { job: Some(job.clone()), ..State::plain(job) }, make)
    }

    pub(super) fn keep_exported<T: Export>(self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        let exported = |state| State { export: Some(export_state::<T>), ..State::plain(state) };
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
        let Some(handed) = &self.keeping.previous.handed else { return };
        let Some(bytes) = handed.states.get(&(self.scope.clone(), name.into())) else { return };
        if let Err(error) = state.import(bytes, handed.at) {
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
            Exported { scope, name, bytes: bytes.to_vec() }
        };
        assert_eq!(exported, [bytes("a", [0, 0, 0, 3]), bytes("b", [0, 0, 0, 2])]);
        let taken = Kept::import(exported, now);
        reload(&taken, &scope(1), |cx| assert_eq!(count(cx, "a"), 1));
        let new = reload(&taken, &scope(0), |cx| assert_eq!([count(cx, "a"), count(cx, "c")], [3, 1]));
        reload(&new, &scope(0), |cx| assert_eq!([count(cx, "a"), count(cx, "b")], [4, 1]));
    }

    #[test]
    fn bytes_that_cannot_be_read_are_none() {
        let broken = Exported { scope: scope(0).to_string(), name: "a".to_owned(), bytes: vec![1] };
        let taken = Kept::import(vec![broken], Instant::now());
        reload(&taken, &scope(0), |cx| assert_eq!(count(cx, "a"), 1));
    }
}
