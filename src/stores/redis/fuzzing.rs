//! The rules that hold for whatever a Redis answers, for the fuzz target.

use bytes::BytesMut;

use super::Reply;
use super::resp::{read_reply, write_command};

/// A reply: every beginning of one asks for more, and what follows it does not matter. Commands read as what was written.
pub fn redis_reply(data: &[u8]) {
    if let Ok(Some((reply, length))) = read_reply(data) {
        assert!(length > 0 && length <= data.len());
        assert_eq!(read_reply(&data[..length]), Ok(Some((reply, length))));
        for end in 0..length {
            assert_eq!(read_reply(&data[..end]), Ok(None), "{end} of {length}");
        }
    }
    let parts: Vec<&[u8]> = data.split(|byte| *byte == b' ').take(1024).collect();
    let mut command = BytesMut::new();
    write_command(&parts, &mut command);
    let texts = parts.iter().map(|part| Reply::Text((*part).into())).collect();
    assert_eq!(read_reply(&command), Ok(Some((Reply::List(texts), command.len()))));
}
