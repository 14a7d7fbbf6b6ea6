use std::net::{Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

use super::support::{Running, SETTINGS, client, receive};

/// An address of its own, since the kernel remembers for minutes what it is told of the way there.
const ENDPOINT: Ipv4Addr = Ipv4Addr::new(127, 83, 0, 9);

/// The checksum of RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded + (folded >> 16)) as u16)
}

/// What a router says of a datagram that is longer than its next link carries (RFC 1191 §4).
fn too_long(from: SocketAddr, to: SocketAddr) -> Vec<u8> {
    let mut message = vec![3, 4, 0, 0, 0, 0];
    message.extend(u16::MAX.to_be_bytes());
    message.extend([0x45, 0, 0, 28, 0, 1, 0x40, 0, 64, 17, 0, 0]);
    message.extend([Ipv4Addr::LOCALHOST.octets(), ENDPOINT.octets()].concat());
    message.extend([from.port().to_be_bytes(), to.port().to_be_bytes(), [0, 8], [0, 0]].concat());
    let sum = checksum(&message);
    message[2..4].copy_from_slice(&sum.to_be_bytes());
    message
}

/// Only those who may send any packet can play the router; for others there is nothing to see here.
#[tokio::test]
async fn a_path_with_short_packets_blames_no_endpoint() {
    let Ok(router) = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4)) else { return };
    let endpoint = UdpSocket::bind((ENDPOINT, 0)).await.unwrap();
    let address = endpoint.local_addr().unwrap();
    let running = Running::new("127.0.0.1:0", &[address], SETTINGS);
    let client = client(running.address).await;
    client.send(b"x").await.unwrap();
    let mut buffer = [0; 16];
    let (_, edge) = endpoint.recv_from(&mut buffer).await.unwrap();
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    router.send_to(&too_long(edge, address), &loopback.into()).unwrap();
    endpoint.send_to(b"y", edge).await.unwrap();
    assert_eq!(receive(&client).await, b"y");
    assert_eq!((running.proxy.open_flows(), running.ends.lock().len()), (1, 0));
    assert_eq!(running.pool.endpoints()[0].load().failures(), 0);
}
