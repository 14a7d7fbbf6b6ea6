use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::support::Outcome;

/// What goes there and back on connections that carry little.
const MESSAGE: [u8; 64] = *b"an evener shares a load evenly between a pair of draught horses.";

/// Sends 64 bytes and reads them back.
pub(crate) fn exchange(stream: &mut TcpStream) -> Outcome<()> {
    stream.write_all(&MESSAGE)?;
    let mut answer = [0; MESSAGE.len()];
    stream.read_exact(&mut answer)?;
    if answer == MESSAGE { Ok(()) } else { Err("the answer is not what was sent".into()) }
}
