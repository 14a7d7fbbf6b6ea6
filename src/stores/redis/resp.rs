//! The protocol of Redis, version 2: commands as they are written, and replies as they are read.

use bytes::{BufMut, BytesMut};

/// What Redis answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    /// A status or a string.
    Text(Box<[u8]>),
    /// A whole number.
    Number(i64),
    /// Nothing is there.
    Nothing,
    /// Several replies.
    List(Vec<Self>),
    /// The command failed.
    Error(Box<str>),
}

/// Bytes that are no reply, or one that is larger than any that we ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it does not speak the protocol of Redis")]
pub(super) struct Malformed;

/// The longest status, error or number.
const LONGEST_LINE: usize = 16 << 10;
const LONGEST_TEXT: usize = 1 << 20;
const LONGEST_LIST: usize = 1024;
const DEEPEST: usize = 4;

/// Appends a command.
pub(super) fn write_command(parts: &[&[u8]], out: &mut BytesMut) {
    write_length(b'*', parts.len(), out);
    for part in parts {
        write_length(b'$', part.len(), out);
        out.put_slice(part);
        out.put_slice(b"\r\n");
    }
}

fn write_length(kind: u8, length: usize, out: &mut BytesMut) {
    out.put_u8(kind);
    out.put_slice(length.to_string().as_bytes());
    out.put_slice(b"\r\n");
}

/// The first reply in `bytes` and its length; `None` while it is not whole.
pub(super) fn read_reply(bytes: &[u8]) -> Result<Option<(Reply, usize)>, Malformed> {
    let mut reader = Reader { bytes, at: 0 };
    let reply = reader.reply(DEEPEST)?;
    Ok(reply.map(|reply| (reply, reader.at)))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn reply(&mut self, depth: usize) -> Result<Option<Reply>, Malformed> {
        let Some(line) = self.line()? else { return Ok(None) };
        let (kind, rest) = line.split_first().ok_or(Malformed)?;
        match kind {
            b'+' => Ok(Some(Reply::Text(rest.into()))),
            b'-' => Ok(Some(Reply::Error(String::from_utf8_lossy(rest).into()))),
            b':' => number(rest).map(Reply::Number).map(Some),
            b'$' => match length(rest, LONGEST_TEXT)? {
                Some(length) => self.text(length),
                None => Ok(Some(Reply::Nothing)),
            },
            b'*' => match length(rest, LONGEST_LIST)? {
                Some(length) => self.list(length, depth),
                None => Ok(Some(Reply::Nothing)),
            },
            _ => Err(Malformed),
        }
    }

    fn line(&mut self) -> Result<Option<&'a [u8]>, Malformed> {
        let rest = &self.bytes[self.at..];
        let Some(end) = memchr::memchr(b'\r', rest) else {
            return if rest.len() > LONGEST_LINE { Err(Malformed) } else { Ok(None) };
        };
        match rest.get(end + 1) {
            _ if end > LONGEST_LINE => Err(Malformed),
            None => Ok(None),
            Some(b'\n') => {
                self.at += end + 2;
                Ok(Some(&rest[..end]))
            }
            Some(_) => Err(Malformed),
        }
    }

    fn text(&mut self, length: usize) -> Result<Option<Reply>, Malformed> {
        let rest = &self.bytes[self.at..];
        if rest.len() < length + 2 {
            return Ok(None);
        }
        if &rest[length..length + 2] != b"\r\n" {
            return Err(Malformed);
        }
        self.at += length + 2;
        Ok(Some(Reply::Text(rest[..length].into())))
    }

    fn list(&mut self, length: usize, depth: usize) -> Result<Option<Reply>, Malformed> {
        let depth = depth.checked_sub(1).ok_or(Malformed)?;
        let mut items = Vec::new();
        for _ in 0..length {
            match self.reply(depth)? {
                Some(item) => items.push(item),
                None => return Ok(None),
            }
        }
        Ok(Some(Reply::List(items)))
    }
}

fn number(text: &[u8]) -> Result<i64, Malformed> {
    std::str::from_utf8(text).ok().and_then(|text| text.parse().ok()).ok_or(Malformed)
}

/// `None` for -1, which stands for nothing.
fn length(text: &[u8], longest: usize) -> Result<Option<usize>, Malformed> {
    match number(text)? {
        -1 => Ok(None),
        length => match usize::try_from(length) {
            Ok(length) if length <= longest => Ok(Some(length)),
            _ => Err(Malformed),
        },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(reply: &Reply, out: &mut BytesMut) {
        match reply {
            Reply::Text(text) => {
                write_length(b'$', text.len(), out);
                out.put_slice(text);
                out.put_slice(b"\r\n");
            }
            Reply::Number(number) => out.put_slice(format!(":{number}\r\n").as_bytes()),
            Reply::Nothing => out.put_slice(b"$-1\r\n"),
            Reply::Error(error) => out.put_slice(format!("-{error}\r\n").as_bytes()),
            Reply::List(items) => {
                write_length(b'*', items.len(), out);
                items.iter().for_each(|item| written(item, out));
            }
        }
    }

    fn replies() -> impl Strategy<Value = Reply> {
        let leaf = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40).prop_map(|text| Reply::Text(text.into())),
            any::<i64>().prop_map(Reply::Number),
            Just(Reply::Nothing),
            "[A-Z]{1,8} [a-z ]{0,20}".prop_map(|error| Reply::Error(error.into())),
        ];
        leaf.prop_recursive(3, 20, 5, |item| prop::collection::vec(item, 0..5).prop_map(Reply::List))
    }

    proptest! {
        #[test]
        fn what_was_written_is_read_and_no_beginning_of_it(reply in replies()) {
            let mut bytes = BytesMut::new();
            written(&reply, &mut bytes);
            let length = bytes.len();
            for end in 0..length {
                prop_assert_eq!(read_reply(&bytes[..end]), Ok(None));
            }
            bytes.put_slice(b"+OK\r\n");
            prop_assert_eq!(read_reply(&bytes), Ok(Some((reply, length))));
        }

        #[test]
        fn nothing_is_beyond_what_was_given(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            if let Ok(Some((_, length))) = read_reply(&bytes) {
                prop_assert!(length <= bytes.len());
            }
        }
    }

    #[test]
    fn commands_are_lists_of_strings() {
        let mut out = BytesMut::new();
        write_command(&[b"GET", b"a\r\nb"], &mut out);
        assert_eq!(&out[..], b"*2\r\n$3\r\nGET\r\n$4\r\na\r\nb\r\n");
    }

    #[test]
    fn what_is_no_reply_or_too_large_is_refused() {
        let refused: [&[u8]; 10] = [
            b"HTTP/1.1 400 Bad Request\r\n",
            b"\r\n",
            b":one\r\n",
            b"$-2\r\n",
            b"$1048577\r\n",
            b"*1025\r\n",
            b"+a\rb\r\n",
            b"$1\r\nab\r\n",
            b"*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n",
            &[b'+'; LONGEST_LINE + 2],
        ];
        for bytes in refused {
            assert_eq!(read_reply(bytes), Err(Malformed), "{:?}", String::from_utf8_lossy(bytes));
        }
    }
}
