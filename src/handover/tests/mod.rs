mod by_process;
mod by_socket;
mod properties;

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use super::child::Child;
use super::connection::Connection;
use super::*;

/// A giver whose new process does nothing; what speaks is the test, over the other end.
fn giver(limits: Limits) -> (Giver, UnixStream) {
    let (unused, stdin) = UnixStream::pair().unwrap();
    // It ends with these tests, also when it was let go.
    std::mem::forget(unused);
    let idle = Child::start(&program("cat", &[]), stdin).unwrap();
    let (own, other) = UnixStream::pair().unwrap();
    (Giver::new(Connection::new(own).unwrap(), idle, limits), other)
}

fn taker(limits: Limits) -> (Taker, UnixStream) {
    let (own, other) = UnixStream::pair().unwrap();
    (Taker::new(own, limits).unwrap(), other)
}

fn program(path: &str, args: &[&str]) -> Program {
    Program { path: path.into(), args: args.iter().map(Into::into).collect(), env: Vec::new() }
}

fn peer(version: &str) -> Peer {
    Peer { version: version.to_owned(), pid: 7 }
}

/// A frame as it goes over the wire.
fn frame(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    [&[kind][..], &length, body].concat()
}

fn message(json: &str) -> Vec<u8> {
    frame(b'M', json.as_bytes())
}

/// The writing ends of so many pipes, each with an entry, and the reading ends.
fn pipes(count: u32) -> (Vec<OwnedFd>, Vec<SocketEntry>, Vec<std::io::PipeReader>) {
    let (readers, writers): (Vec<_>, Vec<_>) = (0..count).map(|_| std::io::pipe().unwrap()).unzip();
    let entry = |ordinal| SocketEntry {
        kind: SocketKind::Connections,
        listener: Some("web".to_owned()),
        address: "127.0.0.1:8080".to_owned(),
        ordinal,
        is_own: false,
    };
    (writers.into_iter().map(OwnedFd::from).collect(), (0..count).map(entry).collect(), readers)
}

fn given<'a>(sockets: &'a [OwnedFd], entries: &[SocketEntry]) -> Vec<Given<'a>> {
    let both = entries.iter().cloned().zip(sockets);
    both.map(|(entry, socket)| Given { entry, socket: socket.as_fd() }).collect()
}

fn write(socket: &UnixStream, bytes: &[u8]) {
    (&*socket).write_all(bytes).unwrap();
}
