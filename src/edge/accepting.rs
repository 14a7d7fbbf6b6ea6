use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use crate::l4::UdpProxy;
use crate::runtime::{Counted, Ending, Listener};

use super::bind::{BoundSocket, Lent};
use super::datagrams::DatagramSocket;
use super::inherited::{HandedOver, Kind};
use super::limits::ListenerLimits;

/// A bound address that is accepted on, for one listener after another.
#[derive(Debug)]
pub(super) struct Accepting {
    pub(super) bound: BoundSocket,
    service: ArcSwap<Service>,
    /// Also told when what is served here has changed.
    phase: watch::Sender<Phase>,
    /// What is done on each socket, as far as somebody does anything: told before, noticed now.
    doing: watch::Sender<Vec<Option<Phase>>>,
}

/// What those get who are accepted now.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) listener: Arc<Listener>,
    /// The end of those who were accepted for it.
    pub(super) ending: Ending,
    pub(super) means: Means,
}

/// What a listener needs besides itself. All its addresses share it, and so do all listeners that have its name in turn.
#[derive(Clone, Debug)]
pub(super) enum Means {
    Connections(Arc<ListenerLimits>),
    Datagrams(Arc<UdpProxy>),
}

/// What becomes of an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    Serving,
    /// Nobody is accepted, but clients go on queueing up: another process may accept them, or this one later. Flows of
    /// datagrams go on if the other process has a channel to them.
    Paused,
    /// Whoever has come by now is served yet, and then it is closed.
    Closing,
    /// It is closed at once: its sockets are somebody else's now.
    Given,
}

/// Counts one of those who accept, until it is dropped.
#[derive(Debug)]
pub(super) struct Busy(Arc<AtomicUsize>);

impl Accepting {
    pub(super) fn new(bound: BoundSocket, service: Service, phase: Phase) -> Arc<Self> {
        let doing = watch::Sender::new(vec![None; bound.sockets.len()]);
        let (service, phase) = (ArcSwap::from_pointee(service), watch::Sender::new(phase));
        Arc::new(Self { bound, service, phase, doing })
    }

    /// What is served now, for a look at it.
    pub(super) fn service(&self) -> Guard<Arc<Service>> {
        self.service.load()
    }

    /// The same, to be kept.
    pub(super) fn service_owned(&self) -> Arc<Service> {
        self.service.load_full()
    }

    /// Has those who are accepted from now on get something else. What they got before ends, unless it is the same service
    /// of the same listener.
    pub(super) fn serve(&self, listener: Arc<Listener>, means: Means, process: &Ending) -> Option<Ending> {
        let former = self.service_owned();
        let goes_on = former.is_of(&listener);
        let ending = if goes_on { former.ending.clone() } else { process.child() };
        self.service.store(Arc::new(Service { listener, ending, means }));
        self.phase.send_modify(|_| {});
        (!goes_on).then(|| former.ending.clone())
    }

    pub(super) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    pub(super) fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// What is done on one of the sockets from here on; `None` if nobody is left to do anything.
    pub(super) fn note(&self, socket: usize, phase: Option<Phase>) {
        self.doing.send_modify(|doing| {
            if let Some(doing) = doing.get_mut(socket) {
                *doing = phase;
            }
        });
    }

    /// Waits until on each socket is done what the address was told last.
    pub(super) async fn settled(&self) {
        let is_so = |doing: &Vec<Option<Phase>>| {
            let told = *self.phase.borrow();
            doing.iter().flatten().all(|phase| *phase == told)
        };
        // The sender is here.
        let _ = self.doing.subscribe().wait_for(is_so).await;
    }

    /// Closes it for new clients. What is left of them ends with this.
    pub(super) fn close(&self) -> Ending {
        self.remove_file();
        self.enter(Phase::Closing);
        self.service().ending.clone()
    }

    /// Nobody is to come by the file of a Unix socket any more.
    pub(super) fn remove_file(&self) {
        if let Some(file) = &self.bound.file {
            file.remove();
        }
    }

    /// Whether nobody but this process accepts here.
    pub(super) fn is_alone(&self) -> bool {
        *self.phase.borrow() == Phase::Serving
    }

    /// Its sockets, for another process to accept on. What is served here until then may stay with this one.
    pub(super) fn hand_over(&self) -> io::Result<HandedOver<Lent>> {
        let BoundSocket { kind, configured, file, .. } = &self.bound;
        Ok(HandedOver {
            kind: *kind,
            address: configured.clone(),
            listener: self.service().listener.name.clone(),
            is_own: file.is_some(),
            sockets: self.bound.lend(),
            channels: self
                .bound
                .datagrams()
                .map(DatagramSocket::meet_successor)
                .collect::<io::Result<_>>()?,
        })
    }
}

impl Accepting {
    /// Closes the channels to a process that does not get its sockets.
    pub(super) fn forget_successor(&self) {
        self.bound.datagrams().for_each(DatagramSocket::forget_successor);
    }
}

impl Service {
    /// Whether connections that this has accepted may go on where `listener` is now: one of the same name that makes the same
    /// of them.
    fn is_of(&self, listener: &Listener) -> bool {
        let what = |listener: &Listener| (listener.id, listener.serves_as(), listener.tls.is_some());
        what(&self.listener) == what(listener) && listener.welcomes_all_of(&self.listener)
    }
}

impl Means {
    /// Has the listener's counts asked of this.
    pub(super) fn count_for(&self, listener: &Listener) {
        let counted: Arc<dyn Counted> = match self {
            Self::Connections(limits) => limits.clone(),
            Self::Datagrams(proxy) => proxy.clone(),
        };
        listener.count_by(counted);
    }

    pub(super) fn of(listener: &Listener) -> Kind {
        match listener.udp() {
            Some(_) => Kind::Datagrams,
            None if listener.is_admin() => Kind::Admin,
            None => Kind::Connections,
        }
    }
}

impl Busy {
    pub(super) fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::AcqRel);
        Self(count.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
