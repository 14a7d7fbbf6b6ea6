use std::io::ErrorKind;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{Client, PATIENCE};

/// How a stream ended for its reader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Cleanly,
    Reset,
}

/// Reads to the end of a stream: what came, and how it ended.
pub(super) async fn rest_of(stream: &mut (impl AsyncRead + Unpin)) -> (Vec<u8>, Ended) {
    let mut heard = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut heard)).await.expect("ends in time");
    let ended = match read {
        Ok(_) => Ended::Cleanly,
        Err(error) if error.kind() == ErrorKind::ConnectionReset => Ended::Reset,
        Err(error) => panic!("{error}"),
    };
    (heard, ended)
}

/// The same for a client.
pub(super) async fn end_of<S: AsyncRead + AsyncWrite + Unpin>(client: Client<S>) -> (Vec<u8>, Ended) {
    let (mut stream, mut heard) = client.into_parts();
    let (rest, ended) = rest_of(&mut stream).await;
    heard.extend(rest);
    (heard, ended)
}

/// Closes a client's connection so that its peer learns that it broke.
pub(super) fn reset(client: Client) {
    client.into_parts().0.set_zero_linger().unwrap();
}

// === Bulk ===

/// Bytes without order, over and over; so many that no buffer has a multiple of them.
#[derive(Clone)]
pub(super) struct Pattern(Arc<[u8]>);

impl Pattern {
    pub(super) fn new(seed: u64) -> Self {
        let mut bytes = vec![0; 1_000_003];
        fastrand::Rng::with_seed(seed).fill(&mut bytes);
        Self(bytes.into())
    }

    /// Writes so many bytes of it, and ends the stream.
    pub(super) async fn send(&self, stream: &mut (impl AsyncWrite + Unpin), total: usize) {
        let mut sent = 0;
        while sent < total {
            let at = sent % self.0.len();
            let piece = &self.0[at..self.0.len().min(at + total - sent)];
            timeout(PATIENCE, stream.write_all(piece)).await.expect("is taken in time").unwrap();
            sent += piece.len();
        }
        stream.shutdown().await.unwrap();
    }

    /// Reads to the end, all of which has to be it; how much that was.
    pub(super) async fn expect(&self, stream: &mut (impl AsyncRead + Unpin)) -> usize {
        let (mut piece, mut heard) = (vec![0; 256 * 1024], 0);
        loop {
            let count = timeout(PATIENCE, stream.read(&mut piece)).await.expect("comes in time").unwrap();
            if count == 0 {
                return heard;
            }
            let mut rest = &piece[..count];
            while !rest.is_empty() {
                let at = heard % self.0.len();
                let expected = &self.0[at..self.0.len().min(at + rest.len())];
                assert!(rest[..expected.len()] == *expected, "differs after {heard} bytes");
                heard += expected.len();
                rest = &rest[expected.len()..];
            }
        }
    }
}

/// Sends so many bytes of one pattern while as many of another come.
pub(super) async fn exchange(
    stream: impl AsyncRead + AsyncWrite,
    sent: &Pattern,
    awaited: &Pattern,
    total: usize,
) {
    let (mut read, mut write) = tokio::io::split(stream);
    let ((), heard) = tokio::join!(sent.send(&mut write, total), awaited.expect(&mut read));
    assert_eq!(heard, total);
}

/// A connection to a server of the test's own.
pub(super) async fn next(listener: &TcpListener) -> TcpStream {
    timeout(PATIENCE, listener.accept()).await.expect("connects in time").unwrap().0
}

/// Reads to the end, whatever comes and however it ends.
pub(super) async fn drain(stream: &mut (impl AsyncRead + Unpin)) {
    let mut heard = Vec::new();
    let _ = timeout(PATIENCE, stream.read_to_end(&mut heard)).await.expect("ends in time");
}
