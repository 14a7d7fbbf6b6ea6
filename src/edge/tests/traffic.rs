//! Clients that come all the time.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UdpSocket, UnixStream};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use super::support::{Client, datagram_client, eventually, within};

/// What a client does again and again. Anything but the right answer is a panic.
pub(super) enum Habit {
    /// Connects and has a request answered.
    Asks(SocketAddr),
    AsksAtFile(PathBuf),
    /// Connects and has bytes come back.
    Echoes(SocketAddr),
    /// Sends a datagram on one socket and has it come back.
    Sends(SocketAddr),
}

/// Clients until they are told to stop.
pub(super) struct Traffic {
    is_over: Arc<AtomicBool>,
    clients: Vec<(Arc<AtomicUsize>, JoinHandle<()>)>,
}

impl Traffic {
    /// Each has got an answer by the time that this returns.
    pub(super) async fn new(habits: impl IntoIterator<Item = Habit>) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let begin = |habit: Habit| {
            let rounds = Arc::new(AtomicUsize::new(0));
            (rounds.clone(), tokio::spawn(habit.go_on(is_over.clone(), rounds)))
        };
        let clients = habits.into_iter().map(begin).collect();
        let traffic = Self { is_over, clients };
        traffic.goes_on().await;
        traffic
    }

    /// Waits until each has got so many answers that it asked for one of them after this was called.
    pub(super) async fn goes_on(&self) {
        for (rounds, client) in &self.clients {
            let until = rounds.load(Ordering::Relaxed) + 2;
            let goes_on = || rounds.load(Ordering::Relaxed) >= until || client.is_finished();
            eventually("clients are answered", goes_on).await;
        }
    }

    pub(super) async fn end(self) {
        self.is_over.store(true, Ordering::Relaxed);
        for (_, client) in self.clients {
            within(client).await.unwrap();
        }
    }
}

impl Habit {
    async fn go_on(self, is_over: Arc<AtomicBool>, rounds: Arc<AtomicUsize>) {
        let socket = match &self {
            Self::Sends(to) => Some(datagram_client(*to).await),
            _ => None,
        };
        for round in 0u64.. {
            // A second answer to the round before would be here instead of the last.
            let is_last = is_over.load(Ordering::Relaxed);
            match (&self, &socket) {
                (_, Some(socket)) => exchange(socket, round).await,
                (Self::Asks(at), _) => ask(*at).await,
                (Self::AsksAtFile(path), _) => ask_at_file(path).await,
                (Self::Echoes(at) | Self::Sends(at), _) => Client::connect(*at).await.is_echoed().await,
            }
            rounds.fetch_add(1, Ordering::Relaxed);
            if is_last {
                return;
            }
            // Datagrams are so quick that nobody else would have a turn.
            sleep(Duration::from_millis(1)).await;
        }
    }
}

async fn ask(at: SocketAddr) {
    let mut client = Client::connect(at).await;
    client.ask("/").await;
    let (head, body) = client.answer().await;
    assert!(head.starts_with("http/1.1 200 ") && body == "served", "{head}");
}

async fn ask_at_file(path: &PathBuf) {
    let mut stream = within(UnixStream::connect(path)).await.unwrap();
    within(stream.write_all(b"GET / HTTP/1.1\r\nhost: a.example\r\nconnection: close\r\n\r\n"))
        .await
        .unwrap();
    let mut answer = String::new();
    within(stream.read_to_string(&mut answer)).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("served"), "{answer}");
}

async fn exchange(socket: &UdpSocket, round: u64) {
    let mut answer = [0; 16];
    within(socket.send(&round.to_be_bytes())).await.unwrap();
    let length = within(socket.recv(&mut answer)).await.unwrap();
    assert_eq!(answer[..length], round.to_be_bytes(), "each answer comes once and in order");
}
