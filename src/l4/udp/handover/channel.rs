use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recvmsg, send, sendmsg};
use socket2::SockRef;
use tokio::io::Interest;
use tokio::net::UnixDatagram;

use crate::l4::udp::flows::FlowKey;
use crate::l4::udp::io::{Arena, Arrival, Train};

use super::message::{Broken, HEAD, Kind, Lists, Message};

/// One end of the way to the other process.
#[derive(Debug)]
pub(in crate::l4::udp) struct Channel {
    /// Of the kind SOCK_SEQPACKET, for which there is no other type.
    socket: UnixDatagram,
}

/// What there was to read.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::l4::udp) enum Gathered {
    /// No more at the moment.
    All,
    /// As much as there is room for.
    Batch,
    /// All up to this list, which is to be heard only when the trains before it are served.
    UpTo(Kind, Vec<FlowKey>),
}

/// What became of a train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::l4::udp) enum Sent {
    Whole,
    NoRoom,
    /// The other end is gone.
    Broken,
}

/// The kernel cuts this down to net.core.wmem_max.
const BUFFER: usize = 4 << 20;

impl Channel {
    pub(in crate::l4::udp) fn new(end: OwnedFd) -> io::Result<Self> {
        let socket = std::os::unix::net::UnixDatagram::from(end);
        socket.set_nonblocking(true)?;
        // Without it there is less room.
        let _ = SockRef::from(&socket).set_send_buffer_size(BUFFER);
        Ok(Self { socket: UnixDatagram::from_std(socket)? })
    }

    /// Whether nobody is at the other end, who has not said anything either.
    pub(in crate::l4::udp) fn is_deserted(&self) -> bool {
        SockRef::from(&self.socket).peek(&mut [MaybeUninit::uninit()]).is_ok_and(|len| len == 0)
    }

    /// Waits until there is something to read, or to write to, if there is something to be written.
    pub(in crate::l4::udp) async fn ready(&self, lists: &Lists) -> io::Result<()> {
        let interest = match lists.is_empty() {
            true => Interest::READABLE,
            false => Interest::READABLE | Interest::WRITABLE,
        };
        self.socket.ready(interest).await.map(drop)
    }

    /// Reads trains of a kind into the arena. Those before an error are among the arrivals, too.
    pub(in crate::l4::udp) fn gather(
        &self,
        kind: Kind,
        arena: &mut Arena,
        arrivals: &mut Vec<Arrival>,
    ) -> Result<Gathered, Broken> {
        arrivals.clear();
        for (slot, room) in arena.slots().enumerate() {
            match self.read(room)? {
                Some(Message::Train(of, FlowKey { client, reached }, train)) if of == kind => {
                    arrivals.push(Arrival { slot, client, reached, train });
                }
                Some(Message::Train(..)) => return Err(Broken),
                Some(Message::List(kind, keys)) => return Ok(Gathered::UpTo(kind, keys)),
                None => return Ok(Gathered::All),
            }
        }
        Ok(Gathered::Batch)
    }

    /// Reads a message; what follows its head into `room`. `None` when there is none at the moment.
    fn read(&self, room: &mut [u8]) -> Result<Option<Message>, Broken> {
        let mut head = [0; HEAD];
        let mut outcome = Ok((0, MsgFlags::empty()));
        let read = self.socket.try_io(Interest::READABLE, || {
            let mut slices = [IoSliceMut::new(&mut head), IoSliceMut::new(room)];
            let received = recvmsg::<()>(self.socket.as_raw_fd(), &mut slices, None, MsgFlags::MSG_DONTWAIT);
            outcome = received.map(|message| (message.bytes, message.flags));
            outcome.map(drop).map_err(io::Error::from)
        });
        match (read, outcome) {
            (Ok(()), Ok((len @ 1.., flags))) if !flags.contains(MsgFlags::MSG_TRUNC) => {
                let (head, rest) = (&head[..len.min(HEAD)], &room[..len.saturating_sub(HEAD)]);
                Message::read(head, rest).map(Some)
            }
            // The other end was closed before it had read all; what it sent can still be read.
            (Err(_), Err(Errno::ECONNRESET | Errno::EINTR)) => self.read(room),
            (Err(error), _) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            _ => Err(Broken),
        }
    }

    /// Writes what there is room for.
    pub(in crate::l4::udp) fn write(&self, lists: &mut Lists) -> Result<(), Broken> {
        while let Some((kind, keys)) = lists.first() {
            let message = Message::list(kind, keys);
            let sent = self.socket.try_io(Interest::WRITABLE, || {
                send(self.socket.as_raw_fd(), &message, FLAGS).map_err(io::Error::from)
            });
            match sent {
                Ok(_) => lists.remove_first(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Err(Broken),
            }
        }
        Ok(())
    }

    /// Sends a train, if nothing has to be written before it.
    pub(in crate::l4::udp) fn send(
        &self,
        kind: Kind,
        key: FlowKey,
        train: Train,
        bytes: &[u8],
        lists: &Lists,
    ) -> Sent {
        if !lists.is_empty() {
            return Sent::NoRoom;
        }
        let head = Message::head_of(kind, key, train);
        let slices = [IoSlice::new(&head), IoSlice::new(bytes)];
        match sendmsg::<()>(self.socket.as_raw_fd(), &slices, &[], FLAGS, None) {
            Ok(_) => Sent::Whole,
            Err(Errno::EPIPE | Errno::ECONNRESET | Errno::ENOTCONN) => Sent::Broken,
            Err(_) => Sent::NoRoom,
        }
    }
}

/// A process does not end because another did.
const FLAGS: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);
