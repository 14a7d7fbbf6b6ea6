use std::io;
use std::os::fd::OwnedFd;

use tokio::sync::{mpsc, oneshot};

use super::Predecessor;

/// Tells the run of one bound socket when another process reads it.
#[derive(Clone, Debug)]
pub(crate) struct Steering(mpsc::Sender<Order>);

/// What a run begins with: who read the socket before, and who may tell it to stop.
#[derive(Debug, Default)]
pub(crate) struct Turn {
    pub(in crate::l4::udp) predecessor: Predecessor,
    pub(in crate::l4::udp) orders: Option<mpsc::Receiver<Order>>,
}

#[derive(Debug)]
pub(in crate::l4::udp) enum Order {
    HandOver(OwnedFd, Reply),
    ReadAgain(Reply),
}

pub(in crate::l4::udp) type Reply = oneshot::Sender<io::Result<()>>;

impl Steering {
    /// For a run on a socket, where `predecessor` leads to who read it before, if anybody did.
    pub(crate) fn new(predecessor: Predecessor) -> (Self, Turn) {
        let (sender, orders) = mpsc::channel(1);
        (Self(sender), Turn { predecessor, orders: Some(orders) })
    }

    /// Has the run stop to read. The process at the other end of the channel reads from here on, and is told whose flows
    /// stay. They go on: what their clients send comes through the channel. No flow begins. A drain is what ends the run,
    /// as always: when no flow is left, and the other process knows.
    ///
    /// Returns when nothing is read any more.
    ///
    /// # Errors
    /// When the run has ended, or cannot use the channel, as when the other process has closed it: then the run reads on. The
    /// other process finds the channel closed.
    pub(crate) async fn hand_over(&self, channel: OwnedFd) -> io::Result<()> {
        self.order(|reply| Order::HandOver(channel, reply)).await
    }

    /// Has the run read the socket again, since the other process is gone, or no longer reads. The channel is closed.
    ///
    /// # Errors
    /// When the run has ended, or there is no descriptor left.
    pub(crate) async fn read_again(&self) -> io::Result<()> {
        self.order(Order::ReadAgain).await
    }

    async fn order(&self, order: impl FnOnce(Reply) -> Order) -> io::Result<()> {
        let (reply, replied) = oneshot::channel();
        let has_ended = || io::Error::new(io::ErrorKind::NotConnected, "the socket is served no longer");
        self.0.send(order(reply)).await.map_err(|_| has_ended())?;
        replied.await.map_err(|_| has_ended())?
    }
}
