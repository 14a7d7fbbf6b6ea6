use std::io::IoSlice;
use std::os::fd::AsRawFd;

use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use tokio::net::UdpSocket;

use super::support::{Running, SETTINGS, client, echo, receive};
use crate::l4::udp::flows::{FlowId, FlowKey};
use crate::l4::udp::io::{Arena, Arrival, Dialer, Outbox, Readiness, Train};
use crate::l4::udp::uplinks::Dial;

/// More than the kernel cuts one train into.
const TOO_MANY: usize = 200;

#[tokio::test]
async fn datagrams_that_the_kernel_joined_arrive_one_by_one() {
    let running = Running::new("127.0.0.1:0", &[echo().await], SETTINGS);
    let client = client(running.address).await;
    let sent: Vec<u8> = (0..25_000u32).map(|at| (at / 1000) as u8).collect();
    let cut = [ControlMessage::UdpGsoSegments(&1000)];
    sendmsg::<()>(client.as_raw_fd(), &[IoSlice::new(&sent)], &cut, MsgFlags::empty(), None).unwrap();
    for part in sent.chunks(1000) {
        assert_eq!(&receive(&client).await[2..], part);
    }
    running.task.abort();
    while !running.task.is_finished() {
        tokio::task::yield_now().await;
    }
    let end = running.ends.lock()[0].clone();
    assert_eq!((end.datagrams_in, end.datagrams_out, end.bytes_in), (25, 25, 25_000));
}

#[tokio::test]
async fn an_endpoint_gets_the_datagrams_of_a_train_that_cannot_be_cut() {
    let endpoint = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let (_readiness, watcher) = Readiness::new().unwrap();
    let uplink = Dialer::new(watcher).dial(FlowId::from_bits(0), endpoint.local_addr().unwrap()).unwrap();
    let train = Train::new(TOO_MANY, Some(1));
    let (client, reached) = ("127.0.0.1:9".parse().unwrap(), "127.0.0.1".parse().unwrap());
    assert_eq!(uplink.send(&[Arrival { slot: 0, client, reached, train }], &Arena::new()), Ok(0));
    for _ in 0..TOO_MANY {
        assert_eq!(receive(&endpoint).await, [0]);
    }
}

#[tokio::test]
async fn a_client_gets_the_datagrams_of_a_train_that_cannot_be_cut() {
    let edge = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let client = client(edge.local_addr().unwrap()).await;
    let reached = edge.local_addr().unwrap().ip();
    let (mut outbox, arena) = (Outbox::new(reached), Arena::new());
    let key = FlowKey { client: client.local_addr().unwrap(), reached };
    outbox.push(0, Train::new(TOO_MANY, Some(1)), key);
    outbox.push(1, Train::new(3, None), key);
    assert_eq!(outbox.flush(&edge, &arena), 0);
    for _ in 0..TOO_MANY {
        assert_eq!(receive(&client).await, [0]);
    }
    assert_eq!(receive(&client).await, [0, 0, 0]);
}

#[tokio::test]
async fn datagrams_in_a_row_arrive_as_they_were_sent() {
    let running = Running::new("0.0.0.0:0", &[echo().await], SETTINGS);
    let to = (std::net::Ipv4Addr::LOCALHOST, running.address.port()).into();
    let clients = [client(to).await, client(to).await];
    let lengths = [100, 100, 100, 7, 100, 0, 0, 1400, 1400, 30_000, 30_000, 30_000];
    let texts: Vec<_> = (1u8..).zip(lengths).map(|(number, len)| vec![number; len]).collect();
    for text in &texts {
        for client in &clients {
            client.send(text).await.unwrap();
        }
    }
    for client in &clients {
        for text in &texts {
            assert_eq!(&receive(client).await[2..], text);
        }
    }
    assert_eq!(running.proxy.discards.total(), 0);
}
