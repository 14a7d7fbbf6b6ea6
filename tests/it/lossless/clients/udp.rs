use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::lossless::endpoints::pattern;

use super::streams::{Stream, length};
use super::{Assignment, in_time};

/// A datagram that is not answered for so long is not answered at all.
const LOST: Duration = Duration::from_secs(5);

/// A flow in which each datagram is answered once.
pub(super) struct Flow {
    socket: UdpSocket,
    client: u64,
    /// Longer than any answer.
    buffer: Vec<u8>,
}

impl Stream for Flow {
    async fn open(assignment: &Assignment) -> Result<Self, String> {
        let socket = in_time("binding", UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))).await?;
        in_time("connecting", socket.connect(assignment.addresses.udp)).await?;
        Ok(Self { socket, client: assignment.number, buffer: vec![0; 1 << 16] })
    }

    async fn exchange(&mut self, number: u64) -> Result<(), String> {
        let message = pattern(self.client, number, length(number));
        in_time("sending", self.socket.send(&message)).await?;
        let heard = timeout(LOST, self.socket.recv(&mut self.buffer)).await.map_err(|_| "lost")?;
        let heard = heard.map_err(|error| error.to_string())?;
        if self.buffer[..heard] == message { Ok(()) } else { Err("another answer came".to_owned()) }
    }

    async fn end(mut self) -> Result<(), String> {
        match self.socket.try_recv(&mut self.buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(error.to_string()),
            Ok(length) => Err(format!("{length} bytes too many")),
        }
    }
}
