use std::{
    io::{self, Read, Write},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
    time::{Duration, Instant},
};

use rustix::net::{RecvFlags, recv};

use crate::support::Outcome;

/// What is written at once.
const BLOCK: usize = 256 * 1024;

/// What a client tells the endpoint to do, in the first bytes of its connection.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Order {
    /// Take everything, then tell in eight bytes how much it was.
    Swallow,
    /// Send blocks for so long, then end.
    Pour(Duration),
    /// Send back what comes, then end.
    Echo,
}

impl Order {
    pub(crate) fn send(self, stream: &mut TcpStream) -> io::Result<()> {
        let (kind, span) = match self {
            Self::Swallow => (b's', Duration::ZERO),
            Self::Pour(span) => (b'p', span),
            Self::Echo => (b'e', Duration::ZERO),
        };
        let millis = u32::try_from(span.as_millis()).unwrap_or(u32::MAX);
        let [a, b, c, d] = millis.to_be_bytes();
        stream.write_all(&[kind, a, b, c, d])
    }

    fn read(stream: &mut TcpStream) -> io::Result<Self> {
        let mut bytes = [0; 5];
        stream.read_exact(&mut bytes)?;
        let [kind, a, b, c, d] = bytes;
        match kind {
            b's' => Ok(Self::Swallow),
            b'p' => Ok(Self::Pour(Duration::from_millis(u32::from_be_bytes([a, b, c, d]).into()))),
            b'e' => Ok(Self::Echo),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

/// Does what clients order, each on a thread of its own.
pub(super) fn serve(listener: TcpListener) -> Outcome<SocketAddr> {
    let address = listener.local_addr()?;
    let accept = move || {
        for stream in listener.incoming().flatten() {
            // An error means that the proxy has given the connection up, which its client notices.
            thread::spawn(move || obey(stream));
        }
    };
    thread::Builder::new().name("bulk".to_owned()).spawn(accept)?;
    Ok(address)
}

fn obey(mut stream: TcpStream) -> io::Result<()> {
    match Order::read(&mut stream)? {
        Order::Swallow => {
            let count = swallow(&stream)?;
            stream.write_all(&count.to_be_bytes())
        }
        Order::Pour(span) => pour(&mut stream, span).map(drop),
        Order::Echo => io::copy(&mut &stream, &mut &stream).map(drop),
    }
}

/// Sends blocks for `span`, then ends this direction. Returns how many bytes went out.
pub(crate) fn pour(stream: &mut TcpStream, span: Duration) -> io::Result<u64> {
    let block = vec![0x5a; BLOCK];
    let end = Instant::now() + span;
    let mut count = 0;
    while Instant::now() < end {
        stream.write_all(&block)?;
        count += BLOCK as u64;
    }
    stream.shutdown(Shutdown::Write)?;
    Ok(count)
}

/// Takes bytes up to the end of their direction, and returns how many there were. They stay in the kernel: what a reader does with
/// them is no work of the proxy's.
pub(crate) fn swallow(stream: &TcpStream) -> io::Result<u64> {
    let mut block = vec![0; 4 * BLOCK];
    let mut count = 0;
    loop {
        let (_, length) = recv(stream, block.as_mut_slice(), RecvFlags::TRUNC)?;
        if length == 0 {
            return Ok(count);
        }
        count += length as u64;
    }
}
