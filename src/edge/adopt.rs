//! How the edge goes from the listeners of one configuration to those of the next.

use std::collections::HashMap;
use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, Weak};

use tokio::runtime::Handle;
use tokio::time::{Instant, sleep_until};

use crate::config::spec::DrainSpec;
use crate::l4::UdpProxy;
use crate::runtime::{Ending, Listener, Stage, WeakEnding};
use crate::types::{BindAddr, ListenerName};

use super::accept::Loop;
use super::accepting::{Accepting, Means, Phase, Service};
use super::bind::{BindError, BoundSocket, Lent};
use super::inherited::{Address, HandedOver, Inherited, Kind, is_same};
use super::limits::ListenerLimits;
use super::prepared::{Place, Prepared, Source, Stock};
use super::serve::Edge;

/// What the edge accepts on.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    /// In the order of the configuration.
    open: Vec<Arc<Accepting>>,
    /// As long as somebody serves what is left of them.
    closing: Vec<Weak<Accepting>>,
    /// By the numbers of listeners, as long as something that they have accepted goes on.
    limits: HashMap<usize, Weak<ListenerLimits>>,
    datagrams: HashMap<usize, Weak<UdpProxy>>,
    is_paused: bool,
    /// Where connections are served, once that is known.
    data_plane: Option<Handle>,
    /// What is to be accepted there.
    unstarted: Vec<Loop>,
}

impl Edge {
    /// Binds what the listeners need and nobody has bound. What is accepted on meanwhile stays as it is.
    ///
    /// # Errors
    /// When an address cannot be listened on, or all of them need more descriptors than this process may have. Then nothing
    /// that was bound for this stays open.
    pub(crate) fn prepare(
        &self,
        listeners: &[Arc<Listener>],
        inherited: &mut Inherited,
    ) -> Result<Prepared, BindError> {
        let (open, closing) = {
            let accepted = self.accepted.lock();
            (accepted.open.clone(), accepted.closing.iter().filter_map(Weak::upgrade).collect())
        };
        Prepared::find(listeners, Stock { open, closing, inherited, threads: self.threads })
    }

    /// Accepts for these listeners from here on, and for no others. Sockets that stay are not touched, and their connections
    /// are the listener's that has its name now; what belongs to a listener that is gone, or has become another kind of one,
    /// ends within the `times` of a drain.
    pub(crate) fn adopt(self: &Arc<Self>, mut prepared: Prepared, times: DrainSpec) {
        let places = std::mem::take(&mut prepared.places);
        let mut accepted = self.accepted.lock();
        let means = accepted.means(self, &prepared.listeners);
        let mut former = std::mem::take(&mut accepted.open);
        let mut ended = Vec::new();
        for Place { listener, source } in places {
            let Some(means) = means.get(&listener.id).cloned() else { continue };
            let bound = match source {
                Source::Open(accepting) => {
                    former.retain(|one| !Arc::ptr_eq(one, &accepting));
                    ended.extend(accepting.serve(listener, means, &self.ending));
                    accepted.open.push(accepting);
                    continue;
                }
                Source::Closing(bound, closing) => {
                    // Only one may read what comes.
                    closing.enter(Phase::Given);
                    bound
                }
                Source::Taken(bound) | Source::Bound(bound) => bound,
            };
            let service = Service { listener, ending: self.ending.child(), means };
            accepted.add(bound, service, &self.busy);
        }
        accepted.closing.retain(|one| one.strong_count() > 0);
        accepted.closing.extend(former.iter().map(Arc::downgrade));
        ended.extend(former.iter().map(|one| one.close()));
        self.start(&mut accepted);
        retire(ended, times, accepted.data_plane.as_ref());
    }

    /// Where the listeners really listen: with the ports that the kernel chose for port 0.
    pub(crate) fn addresses(&self) -> Vec<(ListenerName, BindAddr)> {
        let accepted = self.accepted.lock();
        let of = |one: &Arc<Accepting>| (one.service().listener.name.clone(), one.bound.address.clone());
        accepted.open.iter().map(of).collect()
    }

    /// Accepts nobody until it is told to [`resume`](Self::resume), because another process still does.
    pub(crate) fn hold(&self) {
        self.enter(Phase::Paused);
    }

    /// Leaves its sockets to the process that has got them ([`sockets`](Self::sockets)), and returns once nothing is accepted
    /// or read here any more. Clients go on queueing up there. Connections and flows of datagrams go on until they end, or
    /// are ended; flows that cannot be reached from the other process end at once.
    pub(crate) async fn give_way(&self) {
        settled(self.enter(Phase::Paused)).await;
    }

    /// Takes back the end of the process and accepts, or accepts again, and returns once it does. Nobody else may by now.
    pub(crate) async fn resume(&self) {
        // First, or whoever accepts would close at once.
        self.ending.resume();
        settled(self.enter(Phase::Serving)).await;
    }

    /// Closes addresses that nobody accepts on any more: whoever queues there is taken in first.
    pub(crate) fn close(&self, addresses: &[Address]) {
        let is_meant = |one: &Arc<Accepting>| {
            let (bound, service) = (&one.bound, one.service());
            let is_it = |wanted: &Address| {
                wanted.kind == bound.kind
                    && wanted.listener == service.listener.name
                    && is_same(&wanted.address, &bound.configured)
            };
            addresses.iter().any(is_it)
        };
        let mut accepted = self.accepted.lock();
        let closing: Vec<_> = accepted.open.extract_if(.., |one| is_meant(one)).collect();
        accepted.closing.extend(closing.iter().map(Arc::downgrade));
        // The end of the process is theirs, too.
        closing.iter().for_each(|one| drop(one.close()));
    }

    /// Closes all that is only kept open to be accepted on again.
    pub(crate) fn let_go(&self) {
        self.enter(Phase::Given);
    }

    /// Removes the files of Unix sockets that no other process accepts on: for the end of the process, whichever way it
    /// came.
    pub(crate) fn clear_away(&self) {
        self.accepted.lock().open.iter().filter(|one| one.is_alone()).for_each(|one| one.remove_file());
    }

    fn enter(&self, phase: Phase) -> Vec<Arc<Accepting>> {
        let mut accepted = self.accepted.lock();
        accepted.is_paused = phase == Phase::Paused;
        accepted.open.iter().for_each(|one| one.enter(phase));
        accepted.open.clone()
    }

    /// All sockets that are listened on, for another process to accept on them once this one gives way. The channels of an
    /// attempt before this one are closed.
    ///
    /// # Errors
    /// When no further descriptors can be opened.
    pub(crate) fn sockets(&self) -> std::io::Result<Vec<HandedOver<Lent>>> {
        let accepted = self.accepted.lock();
        let all: std::io::Result<_> = accepted.open.iter().map(|one| one.hand_over()).collect();
        if all.is_err() {
            // They would be missing for clients.
            accepted.open.iter().for_each(|one| one.forget_successor());
        }
        all
    }

    /// Has connections served on the runtime that this is called on, from now on.
    pub(super) fn start_here(self: &Arc<Self>) {
        let mut accepted = self.accepted.lock();
        accepted.data_plane = Some(Handle::current());
        self.start(&mut accepted);
    }

    fn start(self: &Arc<Self>, accepted: &mut Accepted) {
        let Some(data_plane) = accepted.data_plane.clone() else { return };
        for one in accepted.unstarted.drain(..) {
            data_plane.spawn(one.run(self.clone()));
        }
    }

    /// Leaves it to whoever serves what is left of an address to close it.
    pub(super) fn forget(&self, accepting: &Arc<Accepting>) {
        self.accepted.lock().open.retain(|one| !Arc::ptr_eq(one, accepting));
    }

    /// Flows of datagrams at this moment.
    pub(super) fn open_flows(&self) -> usize {
        let accepted = self.accepted.lock();
        accepted.datagrams.values().filter_map(Weak::upgrade).map(|proxy| proxy.open_flows()).sum()
    }
}

impl Accepted {
    fn add(&mut self, bound: BoundSocket, service: Service, busy: &Arc<AtomicUsize>) {
        let phase = if self.is_paused { Phase::Paused } else { Phase::Serving };
        let accepting = Accepting::new(bound, service, phase);
        self.unstarted.extend(Loop::all(&accepting, busy));
        self.open.push(accepting);
    }

    /// What the listeners need besides themselves: that of their names as far as there is any, with the limits of now.
    fn means(&mut self, edge: &Edge, listeners: &[Arc<Listener>]) -> HashMap<usize, Means> {
        self.limits.retain(|_, limits| limits.strong_count() > 0);
        self.datagrams.retain(|_, proxy| proxy.strong_count() > 0);
        let sharing = listeners.iter().filter(|listener| listener.udp().is_some()).count();
        let mut all = HashMap::with_capacity(listeners.len());
        for listener in listeners {
            let means = match Means::of(listener) {
                Kind::Connections | Kind::Admin => self.limits(edge, listener),
                Kind::Datagrams => match self.proxy(edge, listener, sharing) {
                    Some(means) => means,
                    None => continue,
                },
            };
            means.count_for(listener);
            all.insert(listener.id, means);
        }
        all
    }

    fn limits(&mut self, edge: &Edge, listener: &Listener) -> Means {
        if let Some(limits) = self.limits.get(&listener.id).and_then(Weak::upgrade) {
            limits.change(&listener.limits);
            return Means::Connections(limits);
        }
        let limits = ListenerLimits::new(edge.limits.clone(), &listener.limits);
        self.limits.insert(listener.id, Arc::downgrade(&limits));
        Means::Connections(limits)
    }

    fn proxy(&mut self, edge: &Edge, listener: &Listener, sharing: usize) -> Option<Means> {
        if let Some(proxy) = self.datagrams.get(&listener.id).and_then(Weak::upgrade) {
            edge.layer4()?.change_datagrams(&proxy, listener, sharing);
            return Some(Means::Datagrams(proxy));
        }
        let proxy = edge.layer4()?.datagrams(listener, sharing)?;
        self.datagrams.insert(listener.id, Arc::downgrade(&proxy));
        Some(Means::Datagrams(proxy))
    }
}

async fn settled(all: Vec<Arc<Accepting>>) {
    for one in all {
        one.settled().await;
    }
}

/// Brings what was accepted for listeners that are gone to its end.
fn retire(ended: Vec<Ending>, times: DrainSpec, data_plane: Option<&Handle>) {
    for ending in ended {
        ending.advance(Stage::Draining);
        // Before anything is served nothing has begun that would have to end.
        if let Some(data_plane) = data_plane {
            data_plane.spawn(end_in_steps(ending.downgrade(), times, Instant::now()));
        }
    }
}

async fn end_in_steps(mut ending: WeakEnding, times: DrainSpec, begun: Instant) {
    let steps = [(times.requests, Stage::RequestsCut), (times.tunnels, Stage::AllCut)];
    for (time, stage) in steps {
        tokio::select! {
            () = ending.over() => return,
            () = sleep_until(begun + time.get()) => {}
        }
        if !ending.advance(stage) {
            return;
        }
    }
}
