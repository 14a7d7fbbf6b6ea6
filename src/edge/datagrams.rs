//! Sockets for datagrams, which one process after another reads.

use std::io;
use std::net::UdpSocket;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::l4::{Predecessor, Steering, Turn, UdpProxy, channel};
use crate::runtime::Stage;

use super::accept::{Loop, tell_and_rest};
use super::accepting::{Means, Phase, Service};

/// A bound socket, with the ways to the processes that read it before and after this one.
#[derive(Debug)]
pub(super) struct DatagramSocket {
    pub(super) socket: UdpSocket,
    pub(super) predecessor: Predecessor,
    /// Our end of the channel to the process that is about to read it.
    successor: Mutex<Option<OwnedFd>>,
    /// Held by the run that reads it: what was its predecessor's is the next one's only after it.
    reading: tokio::sync::Mutex<()>,
}

/// What a run on a socket has come to.
enum Outcome {
    /// What the address serves is something else now, or nobody.
    Superseded,
    Ended(io::Result<()>),
}

impl DatagramSocket {
    /// One that is led to by `predecessor` where another process read it before.
    pub(super) fn new(socket: UdpSocket, predecessor: Predecessor) -> Self {
        Self { socket, predecessor, successor: Mutex::default(), reading: tokio::sync::Mutex::default() }
    }

    /// Makes the channel to the process that will read it next. That of an attempt before this one, which has come to
    /// nothing, is closed.
    pub(super) fn meet_successor(&self) -> io::Result<OwnedFd> {
        let (ours, theirs) = channel()?;
        *self.successor.lock() = Some(ours);
        Ok(theirs)
    }

    /// Closes the channel to a process that does not come to read it.
    pub(super) fn forget_successor(&self) {
        *self.successor.lock() = None;
    }

    async fn pass_on(&self, proxy: &Arc<UdpProxy>, turn: Turn, service: &Service) -> io::Result<()> {
        let _reading = self.reading.lock().await;
        proxy.clone().run(self.socket.try_clone()?, turn, service.ending.draining()).await
    }

    /// Has a run leave the socket to the next process. `false` if its flows cannot stay.
    async fn leave(&self, run: &Steering) -> bool {
        let end = self.successor.lock().take();
        match end {
            Some(end) => run.hand_over(end).await.is_ok(),
            None => false,
        }
    }
}

impl Loop {
    pub(super) async fn pass_datagrams(&mut self, socket: &DatagramSocket) {
        loop {
            let phase = *self.phase.borrow_and_update();
            let service = self.accepting.service_owned();
            let Means::Datagrams(proxy) = &service.means else { return };
            match phase {
                Phase::Given => return,
                Phase::Paused => {
                    // There is nobody here who could use it.
                    socket.forget_successor();
                    self.busy = None;
                    self.rest().await;
                }
                Phase::Serving | Phase::Closing => {
                    self.begin(phase);
                    let mut has_left = false;
                    match self.serve_datagrams(socket, proxy, &service, &mut has_left).await {
                        Outcome::Superseded => {}
                        // It may be read again.
                        Outcome::Ended(Ok(())) if has_left || *self.phase.borrow() == Phase::Paused => {}
                        Outcome::Ended(Ok(())) => return,
                        Outcome::Ended(Err(error)) => tell_and_rest(&error, &service.listener).await,
                    }
                }
            }
        }
    }

    async fn serve_datagrams(
        &mut self,
        socket: &DatagramSocket,
        proxy: &Arc<UdpProxy>,
        service: &Service,
        has_left: &mut bool,
    ) -> Outcome {
        let (run, turn) = Steering::new(socket.predecessor.clone());
        tokio::select! {
            biased;
            () = self.steer(&run, socket, proxy, has_left) => Outcome::Superseded,
            // Its flows end with it.
            () = service.ending.reached(Stage::AllCut) => Outcome::Ended(Ok(())),
            ended = socket.pass_on(proxy, turn, service) => Outcome::Ended(ended),
        }
    }

    /// Has a run read the socket or leave it to another process, as the address is told. Resolves once the datagrams there
    /// are not for this proxy any more, or its flows cannot stay.
    async fn steer(
        &mut self,
        run: &Steering,
        socket: &DatagramSocket,
        proxy: &Arc<UdpProxy>,
        has_left: &mut bool,
    ) {
        while self.phase.changed().await.is_ok() {
            let phase = *self.phase.borrow();
            let is_its =
                matches!(&self.accepting.service().means, Means::Datagrams(now) if Arc::ptr_eq(now, proxy));
            if !is_its {
                return;
            }
            let goes_on = match phase {
                Phase::Given => false,
                Phase::Paused => *has_left || socket.leave(run).await,
                Phase::Serving | Phase::Closing => !*has_left || run.read_again().await.is_ok(),
            };
            if !goes_on {
                return;
            }
            *has_left = phase == Phase::Paused;
            // What is left of it are its flows, which count by themselves.
            if *has_left {
                self.busy = None;
                self.note(phase);
            } else {
                self.begin(phase);
            }
        }
    }
}
