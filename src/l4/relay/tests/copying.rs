use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::yield_now;
use tokio::time::Instant;

use super::super::{ClosedBy, End, Pipes, Relay};
use super::{LIMITS, OnFirstByte, Running, Scene, pass, read_stream, tcp_pair, write_stream};
use crate::net::Transport;

const MIB: usize = 1024 * 1024;

async fn both_ways(scene: Scene, bytes: usize, chunk_in: usize, chunk_out: usize) {
    let Running { client, endpoint, relay } = scene.start();
    let (mut client_reads, mut client_writes) = client.into_split();
    let (mut endpoint_reads, mut endpoint_writes) = endpoint.into_split();
    tokio::join!(
        write_stream(&mut client_writes, bytes, 1, chunk_in),
        read_stream(&mut endpoint_reads, bytes, 1, chunk_out),
        write_stream(&mut endpoint_writes, bytes, 2, chunk_out),
        read_stream(&mut client_reads, bytes, 2, chunk_in),
    );
    let relayed = relay.await.unwrap();
    assert_eq!(relayed.end, End::Finished);
    assert_eq!((relayed.bytes_in, relayed.bytes_out), (bytes as u64, bytes as u64));
    assert!(relayed.first_byte.is_some());
}

#[tokio::test]
async fn bytes_arrive_whole_and_in_order() {
    both_ways(Scene::plain().await, MIB, 3000, 500).await;
    both_ways(Scene::plain().await, 8 * MIB, 300_000, 5000).await;
    both_ways(Scene::plain().await, 8 * MIB, 5000, 300_000).await;
}

#[tokio::test]
async fn bytes_arrive_whole_and_in_order_without_pipes() {
    let pipes = Pipes::new(0);
    both_ways(Scene::new(LIMITS, &pipes).await, 8 * MIB, 300_000, 5000).await;
    both_ways(Scene::new(LIMITS, &pipes).await, 8 * MIB, 5000, 300_000).await;
    assert_eq!(pipes.open(), 0);
}

#[tokio::test]
async fn bulk_goes_through_pipes_that_come_back() {
    let pipes = Pipes::new(16);
    both_ways(Scene::new(LIMITS, &pipes).await, 8 * MIB, 300_000, 300_000).await;
    assert!(pipes.open() > 0);
    assert_eq!(pipes.lent(), 0);
    let open = pipes.open();
    both_ways(Scene::new(LIMITS, &pipes).await, 8 * MIB, 300_000, 300_000).await;
    assert!(pipes.open() <= open.max(2), "pipes that came back are lent again");
}

#[tokio::test]
async fn messages_need_no_pipes() {
    let pipes = Pipes::new(16);
    let mut running = Scene::new(LIMITS, &pipes).await.start();
    for _ in 0..100 {
        running.exchange().await;
    }
    assert_eq!(pipes.open(), 0);
}

#[tokio::test]
async fn bulk_between_messages_holds_no_pipe_when_it_is_over() {
    let pipes = Pipes::new(16);
    let mut running = Scene::new(LIMITS, &pipes).await.start();
    running.exchange().await;
    let bulk = vec![7; 4 * MIB];
    pass_at_once(&mut running, &bulk).await;
    running.exchange().await;
    assert!(pipes.open() > 0);
    assert_eq!(pipes.lent(), 0);
}

async fn pass_at_once(running: &mut Running, bulk: &[u8]) {
    let mut arrived = vec![0; bulk.len()];
    let (sent, read) =
        tokio::join!(running.client.write_all(bulk), running.endpoint.read_exact(&mut arrived));
    sent.unwrap();
    read.unwrap();
    assert!(arrived == bulk);
}

/// Sends until the relay takes no more, with an endpoint that does not read, and checks how much that is.
async fn stall(relay: &mut Relay<OnFirstByte>, client: &mut TcpStream) {
    let chunk = vec![1; 64 * 1024];
    let mut idle_turns = 0;
    while idle_turns < 100 {
        let wrote = client.try_write(&chunk).is_ok();
        let (held, delivered) = (relay.inward.held(), relay.inward.delivered());
        let _ = Pin::new(&mut *relay).poll(&mut Context::from_waker(Waker::noop()));
        if held > 0 && relay.inward.delivered() == delivered {
            assert_eq!(relay.inward.held(), held, "more was taken while bytes were kept");
        }
        assert!(relay.inward.held() <= MIB);
        let is_idle = !wrote && relay.inward.delivered() == delivered;
        idle_turns = if is_idle { idle_turns + 1 } else { 0 };
        yield_now().await;
    }
    assert!(relay.inward.held() > 0);
}

#[tokio::test]
async fn a_stalled_receiver_bounds_what_is_kept() {
    for pipes in [Pipes::new(0), Pipes::new(16)] {
        let Scene { mut client, endpoint: _endpoint, mut relay } = Scene::new(LIMITS, &pipes).await;
        stall(&mut relay, &mut client).await;
    }
}

#[tokio::test]
async fn what_was_read_before_goes_first() {
    let mut scene = Scene::plain().await;
    scene.client.write_all(b"world").await.unwrap();
    scene.relay = scene.relay.with_replay(b"hello ".to_vec());
    let Running { client, mut endpoint, relay } = scene.start();
    let mut arrived = [0; 11];
    endpoint.read_exact(&mut arrived).await.unwrap();
    assert_eq!(&arrived, b"hello world");
    drop((client, endpoint));
    assert_eq!(relay.await.unwrap().bytes_in, 11);
}

#[tokio::test]
async fn the_endpoints_first_byte_is_told_of_once() {
    let ((mut client, near), (mut endpoint, far)) = (tcp_pair().await, tcp_pair().await);
    let told = Arc::new(Mutex::new(Vec::<Instant>::new()));
    let tell = {
        let told = told.clone();
        move |at| told.lock().push(at)
    };
    let relay = Relay::new(Transport::Tcp(near), Transport::Tcp(far), LIMITS, Pipes::new(1), tell);
    let relay = tokio::spawn(relay);
    pass(&mut client, &mut endpoint, b"ping").await;
    assert!(told.lock().is_empty());
    pass(&mut endpoint, &mut client, b"pong").await;
    pass(&mut endpoint, &mut client, b"pong").await;
    drop((client, endpoint));
    assert_eq!(relay.await.unwrap().first_byte, told.lock().first().copied());
    assert_eq!(told.lock().len(), 1);
}

#[tokio::test]
async fn unix_sockets_are_as_good_as_tcp() {
    let ((mut client, near), (mut endpoint, far)) =
        (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    let pipes = Pipes::new(16);
    let relay = Relay::new(Transport::Unix(near), Transport::Unix(far), LIMITS, pipes.clone(), |_| {});
    let relay = tokio::spawn(relay);
    tokio::join!(
        write_stream(&mut client, 8 * MIB, 1, 300_000),
        read_stream(&mut endpoint, 8 * MIB, 1, 300_000),
    );
    assert_eq!(pipes.lent(), 0);
    drop((client, endpoint));
    let relayed = relay.await.unwrap();
    assert_eq!((relayed.end, relayed.closed_by), (End::Finished, ClosedBy::Client));
    assert_eq!(relayed.bytes_in, 8 * MIB as u64);
}

#[tokio::test]
async fn a_relay_is_small() {
    let scene = Scene::plain().await;
    let size = size_of_val(&scene.relay);
    assert!(size <= 384, "{size} bytes");
}
