use std::collections::HashMap;
use std::ops::Deref;
use std::sync::Arc;

use crate::types::ListenerName;

use super::Listener;

/// The numbers by which routes and connections know listeners. A name keeps its number for the life of the process, and
/// no other name ever gets it: a connection outlives the snapshot that it began with, and its requests are matched by the
/// routes of later ones.
#[derive(Clone, Debug, Default)]
pub(crate) struct ListenerIds {
    /// As many as configurations ever had; their numbers have no gaps.
    by_name: HashMap<ListenerName, usize>,
}

impl ListenerIds {
    /// The number of a name, which is new if nobody had that name before.
    pub(super) fn id(&mut self, name: &ListenerName) -> usize {
        let next = self.by_name.len();
        *self.by_name.entry(name.clone()).or_insert(next)
    }
}

/// The listeners of a snapshot, in the order of the configuration.
#[derive(Debug)]
pub(crate) struct Listeners {
    in_order: Vec<Arc<Listener>>,
    by_id: Box<[Option<Arc<Listener>>]>,
    ids: ListenerIds,
}

impl Listeners {
    /// Listeners that have their numbers of `ids`.
    pub(super) fn new(in_order: Vec<Arc<Listener>>, ids: ListenerIds) -> Self {
        let mut by_id = vec![None; ids.by_name.len()];
        for listener in &in_order {
            by_id[listener.id] = Some(listener.clone());
        }
        Self { in_order, by_id: by_id.into(), ids }
    }

    /// The listener that had this number from the start of the process on, if it is still there.
    pub(crate) fn with_id(&self, id: usize) -> Option<&Arc<Listener>> {
        self.by_id.get(id)?.as_ref()
    }

    /// The numbers that were given so far, for the next configuration.
    pub(crate) fn ids(&self) -> &ListenerIds {
        &self.ids
    }
}

impl Deref for Listeners {
    type Target = [Arc<Listener>];

    fn deref(&self) -> &Self::Target {
        &self.in_order
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Origin;
    use crate::runtime::{Assembled, Registry, assemble};

    fn assembled(names: [&str; 2], previous: Option<&Assembled>) -> Assembled {
        let [one, other] = names;
        let text = format!(
            "listeners: {{ {one}: {{ bind: 127.0.0.1:0 }}, {other}: {{ bind: 127.0.0.1:0 }} }}\n\
             routes: [{{ respond: {{}}, match: {{ listeners: [{other}] }} }}]\n"
        );
        let origin = Origin::test(text);
        assemble(&origin, &Registry::with_built_ins(), previous).unwrap()
    }

    #[test]
    fn a_name_keeps_its_number_and_no_other_gets_it() {
        let first = assembled(["a", "b"], None);
        let second = assembled(["c", "b"], Some(&first));
        let third = assembled(["b", "a"], Some(&second));
        let ids = |one: &Assembled| one.snapshot.listeners.iter().map(|one| one.id).collect::<Vec<_>>();
        assert_eq!([ids(&first), ids(&second), ids(&third)], [[0, 1], [2, 1], [1, 0]]);
        assert!(second.snapshot.listeners.with_id(0).is_none());
        assert_eq!(third.snapshot.listeners.with_id(1).unwrap().name.as_str(), "b");
        assert!(first.snapshot.listeners.with_id(2).is_none());
    }

    #[test]
    fn routes_know_listeners_by_these_numbers() {
        use crate::router::Parts;
        let first = assembled(["a", "b"], None);
        let second = assembled(["b", "c"], Some(&first));
        let matches = |one: &Assembled, listener| {
            let (headers, method) = (http::HeaderMap::new(), http::Method::GET);
            let parts = Parts {
                listener,
                host: "a",
                path: "/",
                query: None,
                method: &method,
                headers: &headers,
                client_ip: [10, 0, 0, 1].into(),
            };
            one.snapshot.router.find(&parts).is_some()
        };
        assert_eq!([0, 1, 2].map(|id| matches(&first, id)), [false, true, false]);
        assert_eq!([0, 1, 2].map(|id| matches(&second, id)), [false, false, true]);
    }
}
