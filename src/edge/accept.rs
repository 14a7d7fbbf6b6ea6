//! Who accepts: a task for each socket, as long as the socket is open.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use crate::net::{Acceptor, is_shortage};
use crate::runtime::{Listener, Stage};

use super::accepting::{Accepting, Busy, Phase};
use super::bind::{BACKLOG, StdSocket};
use super::serve::Edge;

/// What accepts on one socket.
#[derive(Debug)]
pub(super) struct Loop {
    pub(super) accepting: Arc<Accepting>,
    socket: Arc<StdSocket>,
    /// Which of the sockets it is.
    number: usize,
    pub(super) phase: watch::Receiver<Phase>,
    count: Arc<AtomicUsize>,
    pub(super) busy: Option<Busy>,
}

/// How long to wait when there is nothing to accept with.
const REST: Duration = Duration::from_millis(100);

impl Loop {
    /// All of an address, which count as `busy` as long as they accept.
    pub(super) fn all(accepting: &Arc<Accepting>, busy: &Arc<AtomicUsize>) -> Vec<Self> {
        let new = |(number, socket): (usize, &Arc<StdSocket>)| Self {
            accepting: accepting.clone(),
            socket: socket.clone(),
            number,
            phase: accepting.phase(),
            count: busy.clone(),
            busy: Some(Busy::new(busy)),
        };
        accepting.bound.sockets.iter().enumerate().map(new).collect()
    }

    /// Accepts until the address is closed or the process drains.
    pub(super) async fn run(mut self, edge: Arc<Edge>) {
        match &*self.socket.clone() {
            StdSocket::Udp(socket) => self.pass_datagrams(socket).await,
            _ => {
                let acceptor = self.acceptor().await;
                self.accept(&edge, &acceptor).await;
                if self.accepting.is_alone() {
                    self.accepting.remove_file();
                }
                // Before it is emptied, so that the end of this task closes it.
                edge.forget(&self.accepting);
                if *self.phase.borrow() != Phase::Given {
                    self.empty(&edge, &acceptor);
                }
            }
        }
        self.accepting.note(self.number, None);
        edge.forget(&self.accepting);
    }

    /// Does what becomes of the address: accepts, or lets those accept who come.
    pub(super) fn begin(&mut self, phase: Phase) {
        self.busy.get_or_insert_with(|| Busy::new(&self.count));
        self.note(phase);
    }

    /// Accepts nobody until it is told otherwise.
    pub(super) async fn rest(&mut self) {
        self.note(Phase::Paused);
        // Its sender is in what this holds.
        let _ = self.phase.changed().await;
    }

    /// Says what this is doing from here on.
    pub(super) fn note(&self, phase: Phase) {
        self.accepting.note(self.number, Some(phase));
    }

    async fn acceptor(&self) -> Acceptor {
        loop {
            let acceptor = match &*self.socket {
                StdSocket::Tcp(socket) => {
                    socket.try_clone().and_then(TcpListener::from_std).map(Acceptor::Tcp)
                }
                StdSocket::Unix(socket) => {
                    socket.try_clone().and_then(UnixListener::from_std).map(Acceptor::Unix)
                }
                StdSocket::Udp(_) => Err(io::ErrorKind::Unsupported.into()),
            };
            match acceptor {
                Ok(acceptor) => return acceptor,
                Err(error) => tell_and_rest(&error, &self.accepting.service_owned().listener).await,
            }
        }
    }
}

// === Connections ===

impl Loop {
    async fn accept(&mut self, edge: &Arc<Edge>, acceptor: &Acceptor) {
        loop {
            let phase = *self.phase.borrow_and_update();
            match phase {
                Phase::Closing | Phase::Given => return,
                Phase::Paused => {
                    self.busy = None;
                    self.rest().await;
                }
                Phase::Serving => {
                    self.begin(phase);
                    let Self { accepting, phase, .. } = self;
                    tokio::select! {
                        biased;
                        _ = phase.changed() => {}
                        // A pause may have come before it.
                        () = edge.ending.reached(Stage::Draining) => {
                            if *phase.borrow() == Phase::Serving {
                                return;
                            }
                        }
                        never = accept_all(edge, acceptor, accepting) => match never {},
                    }
                }
            }
        }
    }

    /// Takes in whoever has connected and waits to be accepted: to close the socket would reset them.
    fn empty(&self, edge: &Arc<Edge>, acceptor: &Acceptor) {
        let service = self.accepting.service();
        // No more than can have waited, or whoever goes on connecting would hold the drain up.
        for _ in 0..BACKLOG {
            match acceptor.accept_waiting() {
                Ok(Some(accepted)) => edge.take_in(accepted, &service),
                Ok(None) => return,
                // Gone before it was accepted.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                Err(error) => {
                    let name = &service.listener.name;
                    log::warn!("cannot accept before closing listener={name} error={error:?}");
                    return;
                }
            }
        }
    }
}

async fn accept_all(edge: &Arc<Edge>, acceptor: &Acceptor, accepting: &Accepting) -> Infallible {
    loop {
        match acceptor.accept().await {
            Ok(accepted) => edge.take_in(accepted, &accepting.service()),
            // Out of descriptors or memory, accepting again at once would only burn the processor.
            Err(error) if is_shortage(&error) => {
                tell_and_rest(&error, &accepting.service_owned().listener).await
            }
            Err(_) => {}
        }
    }
}

pub(super) async fn tell_and_rest(error: &io::Error, listener: &Listener) {
    if listener.shortages_told.may_tell(Instant::now()) {
        log::warn!("cannot accept listener={} error={error:?}", listener.name);
    }
    sleep(REST).await;
}
