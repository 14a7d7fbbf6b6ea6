use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSliceMut};
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags, preadv2};

use crate::hooks::{Body, BodySource};

use super::off_worker::off_worker;

/// What is read at once, and what each client that is slow holds in memory.
const PIECE: u64 = 64 * 1024;

/// Parts of a file, and what stands between them.
#[derive(Debug)]
pub(super) struct Contents {
    file: Arc<File>,
    parts: VecDeque<Part>,
    left: u64,
}

#[derive(Debug)]
pub(super) enum Part {
    Text(Bytes),
    /// Of the file; never empty.
    Bytes(Range<u64>),
}

impl Part {
    fn length(&self) -> u64 {
        match self {
            Self::Text(text) => text.len() as u64,
            Self::Bytes(range) => range.end - range.start,
        }
    }
}

impl Contents {
    pub(super) fn new(file: File, parts: impl IntoIterator<Item = Part>) -> Self {
        let parts: VecDeque<Part> = parts.into_iter().filter(|part| part.length() > 0).collect();
        Self { file: Arc::new(file), left: parts.iter().map(Part::length).sum(), parts }
    }

    /// As the body of an answer: at once if it is short, so that it goes out with the head in one piece.
    pub(super) async fn into_body(mut self) -> io::Result<Body> {
        if self.left > PIECE {
            return Ok(Body::stream(self));
        }
        let first = self.next().await?.unwrap_or_default();
        if self.left == 0 {
            return Ok(first.into());
        }
        let mut whole = Vec::from(first);
        while let Some(piece) = self.next().await? {
            whole.extend_from_slice(&piece);
        }
        Ok(whole.into())
    }
}

#[async_trait]
impl BodySource for Contents {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let Some(part) = self.parts.pop_front() else { return Ok(None) };
        let piece = match part {
            Part::Text(text) => text,
            Part::Bytes(range) => {
                let length = (range.end - range.start).min(PIECE);
                let piece = read(&self.file, range.start, length as usize).await?;
                let start = range.start + piece.len() as u64;
                if start < range.end {
                    self.parts.push_front(Part::Bytes(start..range.end));
                }
                piece
            }
        };
        self.left -= piece.len() as u64;
        Ok(Some(piece))
    }

    fn left(&self) -> Option<u64> {
        Some(self.left)
    }
}

/// Up to `length` bytes, one at least: at once if the kernel has them in memory.
async fn read(file: &Arc<File>, at: u64, length: usize) -> io::Result<Bytes> {
    let mut buffer = vec![0; length];
    let at_once = preadv2(file, &mut [IoSliceMut::new(&mut buffer)], at, ReadWriteFlags::NOWAIT);
    let (mut buffer, count) = match at_once {
        Ok(count) => (buffer, count),
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) => {
            let file = file.clone();
            off_worker(move || file.read_at(&mut buffer, at).map(|count| (buffer, count))).await?
        }
        Err(error) => return Err(error.into()),
    };
    if count == 0 {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file has become shorter"));
    }
    buffer.truncate(count);
    Ok(buffer.into())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    async fn all(mut contents: Contents) -> Vec<u8> {
        let mut all = Vec::new();
        let mut left = contents.left().unwrap();
        while let Some(piece) = contents.next().await.unwrap() {
            assert!(!piece.is_empty() && piece.len() as u64 <= PIECE);
            left -= piece.len() as u64;
            assert_eq!(contents.left(), Some(left));
            all.extend_from_slice(&piece);
        }
        assert_eq!(left, 0);
        all
    }

    #[tokio::test]
    async fn parts_come_in_their_order() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|at| (at % 251) as u8).collect();
        let whole = Contents::new(file(&bytes), [Part::Bytes(0..200_000)]);
        assert_eq!(all(whole).await, bytes);
        let parts = [
            Part::Text("a".into()),
            Part::Bytes(199_990..200_000),
            Part::Text("b".into()),
            Part::Bytes(5..5),
            Part::Bytes(0..3),
        ];
        let expected = [b"a", &bytes[199_990..], b"b", &bytes[..3]].concat();
        assert_eq!(all(Contents::new(file(&bytes), parts)).await, expected);
    }

    #[tokio::test]
    async fn what_is_short_is_whole_and_what_is_long_is_not() {
        let short = Contents::new(file(b"hello"), [Part::Text("<".into()), Part::Bytes(1..5)]);
        assert_eq!(short.into_body().await.unwrap().as_whole().unwrap(), "<ello");
        let empty = Contents::new(file(b""), [Part::Bytes(0..0)]).into_body().await.unwrap();
        assert_eq!(empty.length(), Some(0));
        let long = Contents::new(file(&[0; 100_000]), [Part::Bytes(0..100_000)]).into_body().await.unwrap();
        assert!(long.as_whole().is_none());
        assert_eq!(long.length(), Some(100_000));
    }

    #[tokio::test]
    async fn a_file_that_shrinks_breaks_off() {
        let file = file(&[1; 200_000]);
        let mut contents = Contents::new(file.try_clone().unwrap(), [Part::Bytes(0..200_000)]);
        contents.next().await.unwrap();
        file.set_len(70_000).unwrap();
        contents.next().await.unwrap();
        assert_eq!(contents.next().await.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
