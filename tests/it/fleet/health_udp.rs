use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use tokio::net::UdpSocket;

use crate::support::{Edge, Endpoint, eventually};

use super::fleet;
use super::health::{PACE, spied};

const PING: &str = "udp: { send: PING, expect: PONG }";

/// Answers datagrams.
struct Responder {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Responder {
    /// `answer` is given what was sent, and how often it came from there.
    async fn with(answer: impl Fn(&[u8], usize) -> Option<&'static [u8]> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let (address, asked) = (socket.local_addr().unwrap(), Arc::<AtomicUsize>::default());
        let counted = asked.clone();
        tokio::spawn(async move {
            let mut clients = HashMap::<SocketAddr, usize>::new();
            let mut datagram = [0; 2048];
            while let Ok((length, from)) = socket.recv_from(&mut datagram).await {
                counted.fetch_add(1, Ordering::Relaxed);
                let times = clients.entry(from).or_default();
                *times += 1;
                if let Some(answer) = answer(&datagram[..length], *times) {
                    socket.send_to(answer, from).await.unwrap();
                }
            }
        });
        Self { address, asked }
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::Relaxed)
    }
}

/// A port that the system reports as closed: bound, so that no other test is given it, and deaf to all but itself.
async fn closed() -> (UdpSocket, SocketAddr) {
    let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    socket.connect(address).await.unwrap();
    (socket, address)
}

#[tokio::test]
async fn only_the_expected_answer_is_good() {
    let good = Responder::with(|sent, _| (sent == b"PING").then_some(b"+PONG\r\n")).await;
    let silent = Responder::with(|_, _| None).await;
    let wrong = Responder::with(|_, _| Some(b"-LOADING\r\n")).await;
    let (_socket, closed) = closed().await;
    let (spy, _edge) = spied(
        &format!("panic: 0%, health: {{ {PING}, {PACE}, rise: 1 }},"),
        &[&silent.address, &wrong.address, &closed, &good.address],
    )
    .await;
    // Three datagrams are one probe of the silent one.
    eventually("all were probed twice", async || wrong.asked() > 1 && silent.asked() > 5).await;
    eventually("one is fit", async || spy.fit() == [good.address.to_string()]).await;
}

#[tokio::test]
async fn bytes_can_be_sent_and_expected() {
    const QUERY: &[u8] = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\0\0\x02\0\x01";
    let resolver =
        Responder::with(|sent, _| (sent == QUERY).then_some(b"\x12\x34\x81\x80\0\x01\0\x0d")).await;
    let refusing = Responder::with(|_, _| Some(b"\x12\x34\x81\x85\0\x01\0\0")).await;
    let query =
        "udp: { send: { hex: 1234 0100 0001 0000 0000 0000 00 0002 0001 }, expect: { hex: 1234 8180 } }";
    let pool = format!("panic: 0%, health: {{ {query}, {PACE}, rise: 1 }},");
    let (spy, _edge) = spied(&pool, &[&refusing.address, &resolver.address]).await;
    eventually("both were asked", async || resolver.asked() > 0 && refusing.asked() > 0).await;
    eventually("one is fit", async || spy.fit() == [resolver.address.to_string()]).await;
}

#[tokio::test]
async fn a_closed_port_is_unfit_at_once_and_nothing_to_connect_to() {
    let (_socket, closed) = closed().await;
    // Longer than a test may take; a request waits for the first probe, and panic mode is on.
    let pool = format!("health: {{ {PING}, interval: 60s, timeout: 60s }},");
    let edge = Edge::start(&fleet(&pool, &[&closed])).await;
    let response = edge.get("/").await;
    let status = response.header("proxy-status");
    assert_eq!(
        (response.status, status),
        (503, Some("evener; error=destination_unavailable; details=\"no_endpoint_fit\""))
    );
}

#[tokio::test]
async fn a_lost_datagram_is_forgiven() {
    let lossy = Responder::with(|_, times| (times == 2).then_some(b"PONG")).await;
    // The second of three comes after two seconds, and there is time for its answer on a busy machine.
    let pool = format!("panic: 0%, health: {{ {PING}, interval: 6s, timeout: 6s }},");
    let (spy, _edge) = spied(&pool, &[&lossy.address]).await;
    eventually("it is fit", async || spy.fit().len() == 1).await;
    assert_eq!(lossy.asked(), 2);
}

#[tokio::test]
async fn one_that_falls_silent_gets_no_more_work_until_it_answers_again() {
    let up = Arc::new(AtomicBool::new(true));
    let changing = {
        let up = up.clone();
        Responder::with(move |_, _| up.load(Ordering::Relaxed).then_some(b"")).await
    };
    let always = Responder::with(|_, _| Some(b"anything")).await;
    let pool = format!("health: {{ udp: {{ send: PING }}, {PACE}, fall: 1, rise: 1 }},");
    let (spy, _edge) = spied(&pool, &[&changing.address, &always.address]).await;
    eventually("both are fit", async || spy.fit().len() == 2).await;
    up.store(false, Ordering::Relaxed);
    eventually("it is unfit", async || spy.fit() == [always.address.to_string()]).await;
    up.store(true, Ordering::Relaxed);
    eventually("it is fit again", async || spy.fit().len() == 2).await;
}

#[tokio::test]
async fn another_port_can_be_probed() {
    let endpoint = Endpoint::answering("ok").await;
    let up = Responder::with(|_, _| Some(b"PONG")).await;
    let down = Responder::with(|_, _| Some(b"DOWN")).await;
    for (checker, status) in [(up, 200), (down, 503)] {
        let port = checker.address.port();
        let pool = format!("panic: 0%, health: {{ {PING}, {PACE}, port: {port} }},");
        let edge = Edge::start(&fleet(&pool, &[&endpoint.address()])).await;
        assert_eq!(edge.get("/").await.status, status);
        assert!(checker.asked() > 0);
    }
}
