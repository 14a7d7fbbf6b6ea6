use std::io;
use std::os::fd::OwnedFd;

use crate::l4::udp::flows::FlowKey;
use crate::l4::udp::io::Arrival;

use super::message::{Broken, Kind};
use super::{Channel, Sent, Side};

/// A channel, and what is to be said on it.
#[derive(Debug)]
pub(in crate::l4::udp) struct Link<S> {
    pub(in crate::l4::udp) channel: Channel,
    pub(in crate::l4::udp) side: S,
}

impl<S: Side> Link<S> {
    pub(in crate::l4::udp) fn new(end: OwnedFd, side: S) -> io::Result<Self> {
        Ok(Self { channel: Channel::new(end)?, side })
    }

    pub(in crate::l4::udp) fn send(
        &mut self,
        kind: Kind,
        key: FlowKey,
        arrival: &Arrival,
        bytes: &[u8],
    ) -> Sent {
        self.channel.send(kind, key, arrival.train, bytes, self.side.lists())
    }

    pub(in crate::l4::udp) fn write(&mut self) -> Result<(), Broken> {
        self.channel.write(self.side.lists())
    }

    /// Waits until there is something to do.
    pub(in crate::l4::udp) async fn ready(&mut self) -> io::Result<()> {
        self.channel.ready(self.side.lists()).await
    }
}
