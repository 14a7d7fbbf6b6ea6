mod copying;
mod ending;
mod limits;
mod pipes;
mod tls;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::{Pipes, Relay, RelayLimits, Relayed};
use crate::net::Transport;

const LIMITS: RelayLimits = RelayLimits { idle: Duration::from_secs(3600), lifetime: None };

type OnFirstByte = fn(Instant);

/// A relay, with the test as the client and the endpoint.
struct Scene {
    client: TcpStream,
    endpoint: TcpStream,
    relay: Relay<OnFirstByte>,
}

/// The same once the relay is running.
struct Running {
    client: TcpStream,
    endpoint: TcpStream,
    relay: JoinHandle<Relayed>,
}

impl Scene {
    async fn new(limits: RelayLimits, pipes: &Arc<Pipes>) -> Self {
        let ((client, far_client), (endpoint, far_endpoint)) = (tcp_pair().await, tcp_pair().await);
        let (client_side, endpoint_side) = (Transport::Tcp(far_client), Transport::Tcp(far_endpoint));
        let relay = Relay::new(client_side, endpoint_side, limits, pipes.clone(), (|_| {}) as OnFirstByte);
        Self { client, endpoint, relay }
    }

    async fn plain() -> Self {
        Self::new(LIMITS, &Pipes::new(16)).await
    }

    fn start(self) -> Running {
        let Self { client, endpoint, relay } = self;
        Running { client, endpoint, relay: tokio::spawn(relay) }
    }
}

impl Running {
    /// One message each way.
    async fn exchange(&mut self) {
        pass(&mut self.client, &mut self.endpoint, b"ping").await;
        pass(&mut self.endpoint, &mut self.client, b"pong").await;
    }
}

async fn tcp_pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
    let (far, _) = listener.accept().await.unwrap();
    (near, far)
}

async fn pass(from: &mut (impl AsyncWrite + Unpin), to: &mut (impl AsyncRead + Unpin), message: &[u8]) {
    from.write_all(message).await.unwrap();
    from.flush().await.unwrap();
    let mut arrived = vec![0; message.len()];
    to.read_exact(&mut arrived).await.unwrap();
    assert_eq!(arrived, message);
}

/// Writes so many bytes, which follow from the seed, in chunks of random sizes.
async fn write_stream(to: &mut (impl AsyncWrite + Unpin), bytes: usize, seed: u64, chunk: usize) {
    let (mut content, mut sizes) = (fastrand::Rng::with_seed(seed), fastrand::Rng::with_seed(!seed));
    let mut left = bytes;
    while left > 0 {
        let mut part = vec![0; sizes.usize(1..=chunk).min(left)];
        part.fill_with(|| content.u8(..));
        to.write_all(&part).await.unwrap();
        left -= part.len();
    }
    to.shutdown().await.unwrap();
}

/// Reads to the end, in chunks of random sizes, and checks every byte.
async fn read_stream(from: &mut (impl AsyncRead + Unpin), bytes: usize, seed: u64, chunk: usize) {
    let (mut content, mut sizes) = (fastrand::Rng::with_seed(seed), fastrand::Rng::with_seed(seed));
    let mut room = vec![0; chunk];
    let mut got = 0;
    loop {
        let size = sizes.usize(1..=chunk);
        let count = from.read(&mut room[..size]).await.unwrap();
        if count == 0 {
            break;
        }
        assert!(room[..count].iter().all(|byte| *byte == content.u8(..)), "wrong byte after {got}");
        got += count;
    }
    assert_eq!(got, bytes);
}

/// Sends until nobody takes any more, so that bytes are under way until somebody does.
async fn flood(mut to: TcpStream) -> io::Error {
    let chunk = vec![1; 64 * 1024];
    loop {
        if let Err(error) = to.write_all(&chunk).await {
            return error;
        }
    }
}

/// What a read comes to once all that arrived has been read.
async fn last_read(from: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
    let mut room = vec![0; 64 * 1024];
    loop {
        match from.read(&mut room).await {
            Ok(1..) => {}
            last => return last,
        }
    }
}

fn assert_reset(last: io::Result<usize>) {
    assert_eq!(last.unwrap_err().kind(), io::ErrorKind::ConnectionReset);
}
