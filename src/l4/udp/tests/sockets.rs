use std::collections::HashSet;
use std::num::NonZeroU32;
use std::time::Duration;

use tokio::net::UdpSocket;

use super::support::{PATIENCE, Running, SETTINGS, client, echo, eventually, exchange, nobody, receive};
use crate::l4::udp::{Discard, EndReason, Turn, UdpSettings};

#[tokio::test]
async fn datagrams_go_through_and_back_as_they_are() {
    let endpoint = echo().await;
    let running = Running::new("127.0.0.1:0", &[endpoint], SETTINGS);
    let client = client(running.address).await;
    for text in [&b"one"[..], b"", &[7; 1400], &[8; 60 * 1024]] {
        assert_eq!(exchange(&client, text).await, endpoint.port());
    }
    assert_eq!((running.proxy.open_flows(), running.pool.in_flight()), (1, 1));
    running.task.abort();
    eventually("the flow ends with its run", || running.proxy.open_flows() == 0).await;
    let end = running.ends.lock()[0].clone();
    assert_eq!(end.reason, EndReason::Drained);
    assert_eq!((end.datagrams_in, end.datagrams_out), (4, 4));
    assert_eq!((end.bytes_in, end.bytes_out), (62_843, 62_843 + 4 * 2));
    assert_eq!(end.client, client.local_addr().unwrap());
    assert!(end.first_reply.is_some_and(|first| first <= end.lasted));
    assert_eq!(running.pool.in_flight(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_clients_get_their_own_responses_from_one_endpoint_each() {
    let endpoints = [echo().await, echo().await, echo().await];
    let running = Running::new("127.0.0.1:0", &endpoints, SETTINGS);
    let clients = (0..50u32).map(|number| async move {
        let client = client(running.address).await;
        let mut served_by = HashSet::new();
        for turn in 0..20u32 {
            let text = [number.to_be_bytes(), turn.to_be_bytes()].concat();
            served_by.insert(exchange(&client, &text).await);
        }
        assert_eq!(served_by.len(), 1, "a flow stays where it is");
        served_by.into_iter().next().unwrap()
    });
    let served_by: HashSet<u16> = futures::future::join_all(clients).await.into_iter().collect();
    assert_eq!(served_by.len(), 3, "flows are spread");
    assert_eq!((running.proxy.open_flows(), running.pool.in_flight()), (50, 50));
    assert_eq!(running.proxy.discards.total(), 0);
}

#[tokio::test]
async fn a_flow_ends_with_the_last_response_that_is_expected() {
    let endpoint = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let settings = UdpSettings { responses: NonZeroU32::new(1), ..SETTINGS };
    let running = Running::new("127.0.0.1:0", &[endpoint.local_addr().unwrap()], settings);
    let client = client(running.address).await;
    let mut buffer = [0; 16];
    let mut edge = None;
    for text in [b"a", b"b"] {
        client.send(text).await.unwrap();
        edge = Some(endpoint.recv_from(&mut buffer).await.unwrap().1);
    }
    let edge = edge.unwrap();
    endpoint.send_to(b"1", edge).await.unwrap();
    assert_eq!(receive(&client).await, b"1");
    assert_eq!(running.proxy.open_flows(), 1, "the response to the second is yet to come");
    endpoint.send_to(b"2", edge).await.unwrap();
    assert_eq!(receive(&client).await, b"2");
    eventually("the flow ends", || running.reasons() == [EndReason::Responses]).await;
    assert_eq!((running.proxy.open_flows(), running.pool.in_flight()), (0, 0));
    client.send(b"c").await.unwrap();
    let (_, again) = endpoint.recv_from(&mut buffer).await.unwrap();
    assert_eq!(running.proxy.open_flows(), 1, "{again} is another flow");
}

#[tokio::test]
async fn a_silent_flow_ends_and_a_used_one_does_not() {
    let settings = UdpSettings { idle: Duration::from_millis(300), ..SETTINGS };
    let running = Running::new("127.0.0.1:0", &[echo().await], settings);
    let (silent, used) = (client(running.address).await, client(running.address).await);
    exchange(&silent, b"x").await;
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while running.ends.lock().is_empty() {
        exchange(&used, b"x").await;
        assert!(tokio::time::Instant::now() < deadline, "the silent flow ends in time");
    }
    let end = running.ends.lock()[0].clone();
    assert_eq!((end.reason, end.client), (EndReason::Idle, silent.local_addr().unwrap()));
    assert!(end.lasted >= settings.idle, "{:?}", end.lasted);
    assert_eq!(running.ends.lock().len(), 1);
    assert_eq!(running.proxy.open_flows(), 1);
}

#[tokio::test]
async fn a_further_flow_takes_the_place_of_the_one_that_was_idle_the_longest() {
    let running = Running::new("127.0.0.1:0", &[echo().await], UdpSettings { flows: 2, ..SETTINGS });
    let clients =
        [client(running.address).await, client(running.address).await, client(running.address).await];
    for number in [0, 1, 0, 2] {
        exchange(&clients[number], b"x").await;
    }
    assert_eq!(running.reasons(), [EndReason::Evicted]);
    assert_eq!(running.ends.lock()[0].client, clients[1].local_addr().unwrap());
    assert_eq!((running.proxy.open_flows(), running.pool.in_flight()), (2, 2));
}

#[tokio::test]
async fn a_socket_without_flows_takes_none_from_another_one() {
    let running = Running::new("127.0.0.1:0", &[echo().await], UdpSettings { flows: 1, ..SETTINGS });
    exchange(&client(running.address).await, b"x").await;
    let other = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap();
    tokio::spawn(running.proxy.clone().run(other, Turn::default(), running.drain.subscribe()));
    client(address).await.send(b"x").await.unwrap();
    eventually("it is dropped", || running.proxy.discards.of(Discard::Full) == 1).await;
    assert!(running.ends.lock().is_empty());
}

#[tokio::test]
async fn a_client_whose_endpoint_refuses_is_served_by_another() {
    let (dead, alive) = (nobody(), echo().await);
    let running = Running::new("127.0.0.1:0", &[dead, alive], SETTINGS);
    // Of two new clients, one begins at the endpoint that nobody listens at.
    for _ in 0..2 {
        let client = client(running.address).await;
        let answered = async {
            loop {
                client.send(b"x").await.unwrap();
                let mut buffer = [0; 16];
                let wait = tokio::time::timeout(Duration::from_millis(50), client.recv(&mut buffer));
                if let Ok(received) = wait.await {
                    return buffer[..received.unwrap()].to_vec();
                }
            }
        };
        let answer = tokio::time::timeout(PATIENCE, answered).await.expect("an answer in time");
        assert_eq!(answer[..2], alive.port().to_be_bytes());
    }
    let ends = running.ends.lock();
    let of_dead = ends.iter().filter(|end| end.endpoint.to_string() == dead.to_string());
    assert!(of_dead.clone().count() == ends.len() && !ends.is_empty(), "{ends:?}");
    assert!(of_dead.clone().all(|end| end.reason == EndReason::EndpointFailed), "{ends:?}");
    assert_eq!(running.pool.endpoints()[0].load().failures(), ends.len() as u64);
    assert_eq!(running.pool.counts().picks, ends.len() as u64 + 2, "each flow's, and each that failed");
    assert_eq!((running.proxy.open_flows(), running.pool.in_flight()), (2, 2));
    assert_eq!(running.pool.endpoints()[0].in_flight(), 0);
}

#[tokio::test]
async fn what_nobody_is_fit_for_is_dropped_and_counted() {
    let running = Running::new("127.0.0.1:0", &[echo().await], SETTINGS);
    let now = tokio::time::Instant::now();
    running.pool.set_drained(&running.pool.endpoints()[0], true, now);
    let client = client(running.address).await;
    client.send(b"x").await.unwrap();
    eventually("it is dropped", || running.proxy.discards.of(Discard::NobodyFit) == 1).await;
    assert_eq!(running.proxy.open_flows(), 0);
    running.pool.set_drained(&running.pool.endpoints()[0], false, now);
    exchange(&client, b"y").await;
}
