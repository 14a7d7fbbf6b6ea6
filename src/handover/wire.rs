use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use tokio::io::Interest;

use super::error::Cause;
use super::frame::{Frame, Incoming, Kind, MOST_DESCRIPTORS, head};

/// The socket between the two processes, in whole frames.
///
/// It is known to a runtime only while it is waited for, so that it may be made before there is one and move to another.
#[derive(Debug)]
pub(super) struct Wire {
    socket: UnixStream,
    incoming: Incoming,
    buffer: Vec<u8>,
}

/// Bytes that are read at a time.
const READ: usize = 64 << 10;

impl Wire {
    pub(super) fn new(socket: UnixStream) -> io::Result<Self> {
        socket.set_nonblocking(true)?;
        Ok(Self { socket, incoming: Incoming::default(), buffer: vec![0; READ] })
    }

    /// Writes a frame. A future that is dropped may leave half of it behind, after which the connection is of no use.
    pub(super) async fn send(
        &self,
        kind: Kind,
        body: &[u8],
        mut descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), Cause> {
        let head = head(kind, body.len());
        let mut sent = 0;
        while sent < head.len() + body.len() {
            let from_head = &head[sent.min(head.len())..];
            let from_body = &body[sent.saturating_sub(head.len())..];
            let parts = [IoSlice::new(from_head), IoSlice::new(from_body)];
            let write = || send_some(&self.socket, &parts, descriptors);
            sent += retried(&self.socket, Interest::WRITABLE, write).await?;
            // They travel with the first byte.
            descriptors = &[];
        }
        Ok(())
    }

    /// Reads a frame, or the rest of one that another call had begun with.
    pub(super) async fn receive(&mut self) -> Result<Frame, Cause> {
        // A peer that always has more to say must not keep the thread from looking at deadlines.
        tokio::task::coop::consume_budget().await;
        loop {
            let wanted = self.incoming.wanted()?;
            if wanted == 0 {
                return self.incoming.take();
            }
            let part = &mut self.buffer[..wanted.min(READ)];
            let read = || receive_some(&self.socket, part);
            let (count, descriptors) = retried(&self.socket, Interest::READABLE, read).await?;
            if count == 0 {
                return Err(self.incoming.ended());
            }
            self.incoming.add(&self.buffer[..count], descriptors)?;
        }
    }
}

/// Tries until it does not have to wait.
async fn retried<T>(
    socket: &UnixStream,
    interest: Interest,
    mut attempt: impl FnMut() -> Result<T, Cause>,
) -> Result<T, Cause> {
    loop {
        match attempt() {
            Err(Cause::Io(error)) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(Cause::Io(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => return other,
        }
        let waiting = tokio::net::UnixStream::from_std(socket.try_clone()?)?;
        waiting.ready(interest).await?;
    }
}

fn send_some(
    socket: &UnixStream,
    parts: &[IoSlice<'_>],
    descriptors: &[BorrowedFd<'_>],
) -> Result<usize, Cause> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !ancillary.push(SendAncillaryMessage::ScmRights(descriptors)) {
        return Err(Cause::WrongCount { got: descriptors.len(), expected: MOST_DESCRIPTORS });
    }
    Ok(sendmsg(socket, parts, &mut ancillary, SendFlags::NOSIGNAL).map_err(io::Error::from)?)
}

/// What is there, and the descriptors that came with it, which no child process gets by accident.
fn receive_some(socket: &UnixStream, buffer: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Cause> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST_DESCRIPTORS))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let parts = &mut [IoSliceMut::new(buffer)];
    let received =
        recvmsg(socket, parts, &mut ancillary, RecvFlags::CMSG_CLOEXEC).map_err(io::Error::from)?;
    let mut descriptors = Vec::new();
    for message in ancillary.drain() {
        if let RecvAncillaryMessage::ScmRights(rights) = message {
            descriptors.extend(rights);
        }
    }
    if received.flags.contains(ReturnFlags::CTRUNC) {
        return Err(Cause::LostDescriptors);
    }
    Ok((received.bytes, descriptors))
}
