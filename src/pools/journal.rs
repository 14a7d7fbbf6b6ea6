use std::borrow::Cow;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::types::{EndpointAddr, PoolName};

use super::endpoint::{Endpoint, State};

/// The last changes of how endpoints stand, of panics and of the configuration, for those on call. There is one for a process;
/// it goes on over reloads.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// The oldest first.
    transitions: VecDeque<Transition>,
    count: u64,
}

/// Something is not what it was.
#[derive(Clone, Debug)]
pub(crate) struct Transition {
    /// The first is 1; a process that takes over counts on.
    pub(crate) number: u64,
    pub(crate) at: Instant,
    pub(crate) of: Subject,
    pub(crate) from: Cow<'static, str>,
    pub(crate) to: Cow<'static, str>,
    pub(crate) why: String,
}

/// What has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Subject {
    Configuration,
    Pool(PoolName),
    Endpoint(PoolName, Arc<EndpointAddr>),
}

/// The same in plain values, for another process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PastTransition {
    number: u64,
    /// How long ago it came.
    age_ms: u64,
    pool: Option<PoolName>,
    endpoint: Option<EndpointAddr>,
    from: String,
    to: String,
    why: String,
}

/// Why endpoints of a pool come to stand otherwise, and when.
pub(super) struct Noting<'a> {
    pub(super) journal: &'a Journal,
    pub(super) why: &'a dyn fmt::Display,
    pub(super) now: Instant,
}

/// So many transitions are kept.
const MOST: usize = 256;
/// No more of a reason is, in bytes: one that is longer tells of more than this.
const LONGEST_WHY: usize = 2000;

impl Journal {
    /// Notes that the configuration has changed, or could not.
    pub(crate) fn note_configuration(&self, from: String, to: String, why: &str, now: Instant) {
        self.note(Subject::Configuration, (from.into(), to.into()), why, now);
    }

    fn note(&self, of: Subject, (from, to): (Cow<'static, str>, Cow<'static, str>), why: &str, now: Instant) {
        let ends = |end: &usize| why.is_char_boundary(*end);
        let why = why[..(0..=why.len().min(LONGEST_WHY)).rev().find(ends).unwrap_or(0)].to_owned();
        let mut kept = self.0.lock();
        kept.count += 1;
        let number = kept.count;
        if kept.transitions.len() == MOST {
            kept.transitions.pop_front();
        }
        kept.transitions.push_back(Transition { number, at: now, of, from, to, why });
    }

    /// The number of the last one, or none.
    pub(crate) fn count(&self) -> u64 {
        self.0.lock().count
    }

    /// Those that are kept and came after the one of this number, the oldest first.
    pub(crate) fn since(&self, number: u64) -> Vec<Transition> {
        let kept = self.0.lock();
        kept.transitions.iter().filter(|transition| transition.number > number).cloned().collect()
    }

    /// Those that are kept, for another process.
    pub(crate) fn export(&self, now: Instant) -> Vec<PastTransition> {
        self.since(0).into_iter().map(|transition| PastTransition::of(transition, now)).collect()
    }

    /// Goes on after those of the process before this one: its own follow them, and are numbered anew.
    pub(crate) fn go_on(&self, earlier: Vec<PastTransition>, now: Instant) {
        let mut kept = self.0.lock();
        let own = std::mem::take(&mut kept.transitions);
        kept.count = earlier.last().map_or(0, |last| last.number);
        kept.transitions = earlier.into_iter().map(|past| past.transition(now)).collect();
        for mut transition in own {
            kept.count += 1;
            transition.number = kept.count;
            kept.transitions.push_back(transition);
        }
        let surplus = kept.transitions.len().saturating_sub(MOST);
        kept.transitions.drain(..surplus);
    }
}

impl PastTransition {
    fn of(transition: Transition, now: Instant) -> Self {
        let Transition { number, at, of, from, to, why } = transition;
        let (pool, endpoint) = match of {
            Subject::Configuration => (None, None),
            Subject::Pool(pool) => (Some(pool), None),
            Subject::Endpoint(pool, address) => (Some(pool), Some((*address).clone())),
        };
        let age = now.saturating_duration_since(at).as_millis();
        let age_ms = u64::try_from(age).unwrap_or(u64::MAX);
        Self { number, age_ms, pool, endpoint, from: from.into_owned(), to: to.into_owned(), why }
    }

    fn transition(self, now: Instant) -> Transition {
        let Self { number, age_ms, pool, endpoint, from, to, why } = self;
        let of = match (pool, endpoint) {
            (None, _) => Subject::Configuration,
            (Some(pool), None) => Subject::Pool(pool),
            (Some(pool), Some(address)) => Subject::Endpoint(pool, Arc::new(address)),
        };
        // A machine may have started after that.
        let at = now.checked_sub(Duration::from_millis(age_ms)).unwrap_or(now);
        Transition { number, at, of, from: from.into(), to: to.into(), why }
    }
}

impl Noting<'_> {
    /// Tells an endpoint its state, and the journal if that is another than before. That a new endpoint is fit is what
    /// everybody expects.
    pub(super) fn publish(&self, endpoint: &Endpoint, state: State) {
        let Some(from) = endpoint.record().publish(state, self.now) else { return };
        if (from, state) == (State::Checking, State::Fit) {
            return;
        }
        let subject = Subject::Endpoint(endpoint.pool().name.clone(), endpoint.address().clone());
        let change = (from.as_str().into(), state.as_str().into());
        self.journal.note(subject, change, &self.why.to_string(), self.now);
    }

    /// Tells of a panic that has begun or ended, if it has.
    pub(super) fn panic(&self, pool: &PoolName, was: bool, is: bool) {
        let word = |is_panic| Cow::from(if is_panic { "panic" } else { "no panic" });
        match (was, is) {
            (false, true) => log::warn!("pool is in panic, all serve that can be connected to pool={pool}"),
            (true, false) => log::info!("panic of the pool is over pool={pool}"),
            _ => return,
        }
        let why = if is { "too few endpoints are fit" } else { "enough endpoints are fit, or none" };
        self.journal.note(Subject::Pool(pool.clone()), (word(was), word(is)), why, self.now);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::pools::Health;
    use crate::pools::testing::pool;

    use super::*;

    fn words(journal: &Journal, since: u64) -> Vec<String> {
        let told = |one: Transition| format!("{} {} {}: {}", one.number, one.from, one.to, one.why);
        journal.since(since).into_iter().map(told).collect()
    }

    #[test]
    fn changes_are_noted_once_with_their_reason() {
        let now = Instant::now();
        let pool = pool(&["10.0.0.1:80", "10.0.0.2:80"], ", health: { tcp: {} }", now);
        let journal = &pool.lineage.journal;
        let [first, second] = pool.endpoints() else { panic!("two endpoints") };
        let unfit = Health::Unfit { is_reachable: true };
        pool.set_health(first, Health::Fit, now);
        pool.set_health(second, Health::Fit, now);
        assert_eq!(journal.count(), 0, "fit is what was expected");
        let later = now + Duration::from_secs(5);
        pool.note_probe(second, (unfit, "connection reset"), 1, later);
        pool.note_probe(second, (unfit, "connection reset"), 1, later);
        pool.set_drained(first, true, later);
        pool.set_drained(first, true, later);
        assert_eq!(
            words(journal, 0),
            [
                "1 fit unfit: connection reset",
                "2 fit draining: an operator took it out",
                "3 no panic panic: too few endpoints are fit",
            ]
        );
        assert_eq!(words(journal, 2).len(), 1);
        assert_eq!((first.since(), second.since()), (later, later));
        let of = Subject::Endpoint("app".parse().unwrap(), second.address().clone());
        assert_eq!(journal.since(0)[0].of, of);
    }

    #[test]
    fn another_process_goes_on_after_the_last_one() {
        let (now, later) = (Instant::now(), Instant::now() + Duration::from_secs(60));
        let pool = pool(&["10.0.0.1:80"], "", now);
        pool.set_drained(&pool.endpoints()[0], true, now);
        let before = &pool.lineage.journal;
        before.note_configuration("generation 1".to_owned(), "generation 2".to_owned(), "a command", now);
        let left = serde_json::to_string(&before.export(later)).unwrap();
        let journal = Journal::default();
        journal.note_configuration("generation 2".to_owned(), "refused".to_owned(), "no file", later);
        journal.go_on(serde_json::from_str(&left).unwrap(), later);
        let all = journal.since(0);
        assert_eq!(words(&journal, 2), ["3 generation 2 refused: no file"]);
        assert_eq!(
            all[..2].iter().map(|one| &one.of).collect::<Vec<_>>(),
            [&before.since(0)[0].of, &Subject::Configuration]
        );
        // Between processes moments go by the clock, to the nanosecond or so.
        assert!(all[0].at.max(now) - all[0].at.min(now) < Duration::from_secs(1));
        assert_eq!((all[1].why.as_str(), journal.count()), ("a command", 3));
    }

    #[test]
    fn the_last_are_kept() {
        let journal = Journal::default();
        let name = |number: usize| format!("generation {number}");
        for number in 0..MOST + 5 {
            journal.note_configuration(
                name(number),
                name(number + 1),
                &"é".repeat(LONGEST_WHY),
                Instant::now(),
            );
        }
        let kept = journal.since(0);
        assert_eq!((kept.len(), kept[0].number, journal.count()), (MOST, 6, MOST as u64 + 5));
        assert_eq!(kept[0].why.len(), LONGEST_WHY);
    }
}
