use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures::future::join_all;
use nix::sys::socket::{MsgFlags, send};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::support::{Ends, PATIENCE, SETTINGS, client, echo, eventually, exchange, pool, proxy, receive};
use crate::l4::udp::flows::FlowKey;
use crate::l4::udp::handover::{Channel, Giver, Side};
use crate::l4::udp::{Discard, Predecessor, Steering, UdpProxy, UdpSettings, channel};

/// What one of several processes does with a socket that all have.
struct Process {
    proxy: Arc<UdpProxy>,
    ends: Ends,
    steering: Steering,
    drain: watch::Sender<bool>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Process {
    fn new(
        socket: &std::net::UdpSocket,
        endpoint: SocketAddr,
        settings: UdpSettings,
        predecessor: Option<OwnedFd>,
    ) -> Self {
        let (proxy, ends) = proxy(pool(&[endpoint], "", Instant::now()), settings);
        let (drain, drained) = watch::channel(false);
        let (steering, turn) = Steering::new(predecessor.map_or_else(Predecessor::default, Predecessor::new));
        let socket = socket.try_clone().unwrap();
        let task = tokio::spawn(proxy.clone().run(socket, turn, drained));
        Self { proxy, ends, steering, drain, task }
    }

    /// Starts the next process, and has it read the socket.
    async fn hand_over(&self, socket: &std::net::UdpSocket, to: SocketAddr, settings: UdpSettings) -> Self {
        let (ours, theirs) = channel().unwrap();
        let next = Self::new(socket, to, settings, Some(theirs));
        self.steering.hand_over(ours).await.unwrap();
        next
    }

    async fn end(self) {
        self.drain.send_replace(true);
        timeout(PATIENCE, self.task).await.expect("the run ends").unwrap().unwrap();
    }
}

/// When a client asks again that nobody has answered.
const AGAIN: Duration = Duration::from_millis(500);

/// As [`exchange`], with the same question again after each `wait`. Answers to earlier ones may come late, but not where
/// nothing was asked twice.
async fn insist(client: &UdpSocket, text: &[u8], wait: Duration) -> u16 {
    let deadline = Instant::now() + PATIENCE;
    let may_be_late = wait < PATIENCE;
    loop {
        client.send(text).await.unwrap();
        while let Ok(answer) = timeout(wait, receive(client)).await {
            if answer[2..] == *text {
                return u16::from_be_bytes([answer[0], answer[1]]);
            }
            assert!(may_be_late, "this was not asked: {:?}", &answer[2..]);
        }
        assert!(Instant::now() < deadline, "nobody answers");
    }
}

fn bound() -> (std::net::UdpSocket, SocketAddr) {
    let socket = std::net::UdpSocket::bind("127.83.1.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}

/// Clients that ask and are answered all the time, each answer once and in order, until they are told to stop.
struct Traffic {
    is_over: Arc<AtomicBool>,
    rounds: Arc<AtomicUsize>,
    clients: JoinHandle<()>,
}

impl Traffic {
    async fn new(to: SocketAddr, clients: usize) -> Self {
        Self::asking_after(PATIENCE, to, clients).await
    }

    /// Its clients ask again after so long, as they have to where a process dies with what it has read.
    async fn asking_after(wait: Duration, to: SocketAddr, clients: usize) -> Self {
        let (is_over, rounds) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (over, count) = (is_over.clone(), rounds.clone());
        let ask = move |client: UdpSocket| {
            let (over, count) = (over.clone(), count.clone());
            async move {
                let mut number = 0u64;
                while !over.load(Ordering::Relaxed) {
                    number += 1;
                    insist(&client, &number.to_be_bytes(), wait).await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
                // A second answer to anything would be here instead.
                insist(&client, b"last", wait).await;
            }
        };
        let sockets = join_all((0..clients).map(|_| client(to))).await;
        let all = tokio::spawn(async move { drop(join_all(sockets.into_iter().map(ask)).await) });
        let traffic = Self { is_over, rounds, clients: all };
        traffic.goes_on(10 * clients).await;
        traffic
    }

    /// Waits for so many further answers.
    async fn goes_on(&self, rounds: usize) {
        let until = self.rounds.load(Ordering::Relaxed) + rounds;
        let goes_on = || self.rounds.load(Ordering::Relaxed) >= until || self.clients.is_finished();
        eventually("clients are answered", goes_on).await;
    }

    async fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        timeout(PATIENCE, self.clients).await.expect("the last answers come").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_answer_is_lost_or_doubled_while_a_socket_is_handed_over() {
    let (socket, address) = bound();
    let (before, after) = (echo().await, echo().await);
    let old = Process::new(&socket, before, SETTINGS, None);
    let traffic = Traffic::new(address, 20).await;
    let new = old.hand_over(&socket, after, SETTINGS).await;
    traffic.goes_on(2000).await;
    assert_eq!((old.proxy.open_flows(), new.proxy.open_flows()), (20, 0), "flows stay");
    assert_eq!(exchange(&client(address).await, b"x").await, after.port(), "new ones begin elsewhere");
    traffic.end().await;
    assert_eq!(old.proxy.discards.total() + new.proxy.discards.total(), 0);
    let kept = old.ends.lock().len();
    assert_eq!(kept, 0, "no flow ended for it");
}

/// Each answer ends its flow, just when the client's next datagram is on its way there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flows_that_end_go_over_one_by_one() {
    for _ in 0..5 {
        let (socket, address) = bound();
        let (before, after) = (echo().await, echo().await);
        let settings = UdpSettings { responses: NonZeroU32::new(1), ..SETTINGS };
        let old = Process::new(&socket, before, settings, None);
        let traffic = Traffic::new(address, 20).await;
        let new = old.hand_over(&socket, after, SETTINGS).await;
        traffic.goes_on(500).await;
        eventually("all have gone over", || new.proxy.open_flows() == 20).await;
        assert_eq!(old.proxy.open_flows(), 0);
        traffic.end().await;
        assert_eq!(old.proxy.discards.total() + new.proxy.discards.total(), 0);
        old.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_that_handed_over_ends_with_its_last_flow() {
    let (socket, address) = bound();
    let (before, after) = (echo().await, echo().await);
    let settings = UdpSettings { idle: Duration::from_millis(300), ..SETTINGS };
    let old = Process::new(&socket, before, settings, None);
    let known = client(address).await;
    assert_eq!(exchange(&known, b"x").await, before.port());
    let _new = old.hand_over(&socket, after, SETTINGS).await;
    assert_eq!(exchange(&known, b"x").await, before.port());
    old.end().await;
    assert_eq!(exchange(&known, b"x").await, after.port());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_read_before_the_socket_is_handed_over() {
    let (socket, address) = bound();
    let (before, after) = (echo().await, echo().await);
    let old = Process::new(&socket, before, SETTINGS, None);
    let (ours, theirs) = channel().unwrap();
    let new = Process::new(&socket, after, SETTINGS, Some(theirs));
    let clients = join_all((0..100).map(|_| client(address))).await;
    for client in &clients {
        assert_eq!(exchange(client, b"x").await, before.port());
    }
    assert_eq!(new.proxy.open_flows(), 0);
    old.steering.hand_over(ours).await.unwrap();
    assert_eq!(exchange(&client(address).await, b"x").await, after.port());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_a_process_that_dies_are_served_by_the_next() {
    let (socket, address) = bound();
    let (before, after) = (echo().await, echo().await);
    let old = Process::new(&socket, before, SETTINGS, None);
    let clients = join_all((0..20).map(|_| client(address))).await;
    for client in &clients {
        assert_eq!(exchange(client, b"x").await, before.port());
    }
    let new = old.hand_over(&socket, after, SETTINGS).await;
    for client in &clients {
        assert_eq!(exchange(client, b"x").await, before.port());
    }
    old.task.abort();
    eventually("it is gone", || old.proxy.open_flows() == 0).await;
    for client in &clients {
        // The first may have been sent to the one that is gone.
        assert_eq!(insist(client, b"y", AGAIN).await, after.port());
    }
    assert_eq!(new.proxy.open_flows(), 20);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_goes_on_when_the_next_one_dies() {
    let (socket, address) = bound();
    let endpoint = echo().await;
    let old = Process::new(&socket, endpoint, SETTINGS, None);
    let traffic = Traffic::asking_after(AGAIN, address, 20).await;
    for _ in 0..5 {
        let new = old.hand_over(&socket, endpoint, SETTINGS).await;
        traffic.goes_on(200).await;
        new.task.abort();
        eventually("it is gone", || new.task.is_finished()).await;
        old.steering.read_again().await.unwrap();
        traffic.goes_on(200).await;
        insist(&client(address).await, b"x", AGAIN).await;
    }
    traffic.end().await;
    assert_eq!(old.proxy.open_flows(), 25, "flows stayed, and others began");
    assert_eq!(old.proxy.discards.total(), 0);
}

/// Its flow stays all the while, so that the run is the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flows_begin_again_when_the_drain_is_taken_back() {
    let (socket, address) = bound();
    let endpoint = echo().await;
    let old = Process::new(&socket, endpoint, SETTINGS, None);
    let known = client(address).await;
    exchange(&known, b"x").await;
    for _ in 0..2 {
        let new = old.hand_over(&socket, endpoint, SETTINGS).await;
        old.drain.send_replace(true);
        exchange(&known, b"x").await;
        new.task.abort();
        eventually("it is gone", || new.task.is_finished()).await;
        old.drain.send_replace(false);
        old.steering.read_again().await.unwrap();
        exchange(&known, b"x").await;
        exchange(&client(address).await, b"x").await;
    }
    assert_eq!((old.proxy.open_flows(), old.proxy.discards.total()), (3, 0));
}

/// What the last one reads goes through the one between to the first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_is_handed_over_again_while_the_first_process_has_flows() {
    let (socket, address) = bound();
    let endpoints = [echo().await, echo().await, echo().await];
    let first = Process::new(&socket, endpoints[0], SETTINGS, None);
    let of_first = Traffic::new(address, 10).await;
    let second = first.hand_over(&socket, endpoints[1], SETTINGS).await;
    let of_second = Traffic::new(address, 10).await;
    let third = second.hand_over(&socket, endpoints[2], SETTINGS).await;
    let of_third = Traffic::new(address, 10).await;
    for traffic in [&of_first, &of_second, &of_third] {
        traffic.goes_on(500).await;
    }
    let open = || [&first, &second, &third].map(|process| process.proxy.open_flows());
    assert_eq!(open(), [10, 10, 10]);

    let idle = Duration::from_millis(50);
    of_first.end().await;
    let pool_of_first = pool(&[endpoints[0]], "", Instant::now());
    first.proxy.change(pool_of_first, UdpSettings { idle, ..SETTINGS });
    first.end().await;
    of_second.end().await;
    let pool_of_second = pool(&[endpoints[1]], "", Instant::now());
    second.proxy.change(pool_of_second, UdpSettings { idle, ..SETTINGS });
    second.end().await;
    of_third.goes_on(100).await;
    of_third.end().await;
    assert_eq!(third.proxy.open_flows(), 10);
}

#[tokio::test]
async fn a_channel_with_nonsense_is_as_good_as_none() {
    let (socket, address) = bound();
    let (ours, theirs) = channel().unwrap();
    let new = Process::new(&socket, echo().await, SETTINGS, Some(theirs));
    send(ours.as_raw_fd(), b"nonsense", MsgFlags::empty()).unwrap();
    exchange(&client(address).await, b"x").await;
    assert_eq!(new.proxy.open_flows(), 1);
}

/// The process that has the flow reads nothing of what is passed to it.
#[tokio::test]
async fn what_a_full_channel_does_not_take_is_dropped_and_counted() {
    let (socket, address) = bound();
    let (ours, theirs) = channel().unwrap();
    let new = Process::new(&socket, echo().await, SETTINGS, Some(theirs));
    let client = client(address).await;
    let key = FlowKey { client: client.local_addr().unwrap(), reached: address.ip() };
    let mut giver = Giver::new([key]);
    let mute = Channel::new(ours).unwrap();
    while !giver.lists().is_empty() {
        mute.ready(giver.lists()).await.unwrap();
        mute.write(giver.lists()).unwrap();
    }
    let deadline = Instant::now() + PATIENCE;
    while new.proxy.discards.of(Discard::NotPassed) == 0 {
        client.send(&[0; 8192]).await.unwrap();
        tokio::task::yield_now().await;
        assert!(Instant::now() < deadline, "it gets full");
    }
    assert_eq!(
        (new.proxy.open_flows(), new.proxy.discards.total()),
        (0, new.proxy.discards.of(Discard::NotPassed))
    );
}
