use std::io::IoSliceMut;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::libc::{in_pktinfo, in6_pktinfo};
use nix::sys::socket::{
    ControlMessageOwned, MsgFlags, MultiHeaders, SetSockOpt, SockaddrStorage, recvmmsg, sockopt,
};
use socket2::SockRef;

use crate::l4::udp::flows::FlowKey;

use super::{Arena, BATCH, Train};

/// A train from a client. It stands in the slot of its place in the batch.
#[derive(Clone, Copy, Debug)]
pub(in crate::l4::udp) struct Arrival {
    pub(in crate::l4::udp) slot: usize,
    pub(in crate::l4::udp) client: SocketAddr,
    /// The address of this machine that it was sent to.
    pub(in crate::l4::udp) reached: IpAddr,
    pub(in crate::l4::udp) train: Train,
}

impl Arrival {
    /// The flow that it belongs to.
    pub(in crate::l4::udp) fn key(&self) -> FlowKey {
        FlowKey { client: self.client, reached: self.reached }
    }
}

/// The kernel cuts this down to net.core.rmem_max and wmem_max.
const BUFFERS: usize = 4 << 20;

/// Sets a listening socket up: it must not wait, and tell where datagrams were sent to if it is bound to no certain
/// address.
pub(in crate::l4::udp) fn prepare(socket: &UdpSocket) -> std::io::Result<()> {
    socket.set_nonblocking(true)?;
    match socket.local_addr()?.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => sockopt::Ipv4PacketInfo.set(socket, &true)?,
        IpAddr::V6(ip) if ip.is_unspecified() => sockopt::Ipv6RecvPacketInfo.set(socket, &true)?,
        _ => {}
    }
    // Without these it works as well, but slower.
    let _ = sockopt::UdpGroSegment.set(socket, &true);
    let _ = SockRef::from(socket).set_recv_buffer_size(BUFFERS);
    let _ = SockRef::from(socket).set_send_buffer_size(BUFFERS);
    Ok(())
}

/// Takes what clients sent, a batch at most, into the arena. `bound` is where the socket is bound to.
pub(in crate::l4::udp) fn receive(
    socket: &impl AsRawFd,
    bound: IpAddr,
    arena: &mut Arena,
    arrivals: &mut Vec<Arrival>,
) -> nix::Result<usize> {
    // Made anew for each batch: used again, they would have only as much room for control messages as was needed before.
    let controls = cmsg_space!(in6_pktinfo, i32);
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(BATCH, Some(controls));
    let mut slots = arena.slots();
    let mut slices: [_; BATCH] = std::array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())]);
    let flags = MsgFlags::MSG_DONTWAIT;
    let received = recvmmsg(socket.as_raw_fd(), &mut headers, slices.iter_mut(), flags, None)?;
    arrivals.clear();
    let mut count = 0;
    for (slot, message) in received.enumerate() {
        count += 1;
        let mut reached = bound;
        let train = Train::received(&message, |control| reached = told(control).unwrap_or(reached));
        let client = message.address.as_ref().and_then(socket_addr);
        if let (Some(train), Some(client)) = (train, client) {
            arrivals.push(Arrival { slot, client, reached, train });
        }
    }
    Ok(count)
}

/// Where a datagram was sent to. Of one that was sent to many, the address that answers it.
fn told(control: &ControlMessageOwned) -> Option<IpAddr> {
    match control {
        ControlMessageOwned::Ipv4PacketInfo(in_pktinfo { ipi_spec_dst, ipi_addr, .. }) => {
            // Of what came before the socket was set up the kernel knows only what its header says.
            let told = if ipi_spec_dst.s_addr == 0 { ipi_addr } else { ipi_spec_dst };
            Some(Ipv4Addr::from(told.s_addr.to_ne_bytes()).into())
        }
        ControlMessageOwned::Ipv6PacketInfo(in6_pktinfo { ipi6_addr, .. }) => {
            Some(Ipv6Addr::from(ipi6_addr.s6_addr).into())
        }
        _ => None,
    }
}

fn socket_addr(address: &SockaddrStorage) -> Option<SocketAddr> {
    let v4 = address.as_sockaddr_in().map(|v4| SocketAddr::from(*v4));
    v4.or_else(|| address.as_sockaddr_in6().map(|v6| SocketAddr::from(*v6)))
}
