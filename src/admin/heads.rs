use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use memchr::memchr;
use tokio::io::{AsyncRead, ReadBuf};

/// What comes from a client, of which nobody else sees a header before it is whole and means one thing only (RFC 9112, 2.2 and
/// 6.3): that of a request with two framings is read in two ways along a chain of servers. In the place of one that does not,
/// and of all that follows, stands something that is no request.
#[derive(Debug)]
pub(super) struct Heads<R> {
    inner: R,
    stage: Stage,
    /// What was read and not handed on yet.
    read: Vec<u8>,
    /// So much of it may be.
    passed: usize,
    /// So much of it has no end of a header.
    seen: usize,
    limit: usize,
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Head,
    /// So much of a body, and then another header.
    Body(u64),
    /// Nothing that has to be looked at: no other request is served after this one.
    Rest,
}

/// It cannot be told where the request ends, or it is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Unsound;

/// Is answered with 400, and then the connection is closed.
const NO_REQUEST: &[u8] = b"\0\r\n\r\n";
/// Bytes that are read at once.
const MOST_AT_ONCE: usize = 4 << 10;

impl<R> Heads<R> {
    /// What is longer than the limit is left to whoever reads it, and refuses it.
    pub(super) fn new(inner: R, limit: usize) -> Self {
        Self { inner, stage: Stage::Head, read: Vec::new(), passed: 0, seen: 0, limit }
    }

    /// Has more passed on of what was read, if more may be.
    fn pass(&mut self) {
        match self.stage {
            Stage::Head => match end_of_head(&self.read, self.seen) {
                Some(end) => {
                    self.seen = 0;
                    match what_follows(&self.read[..end]) {
                        Ok(next) => (self.stage, self.passed) = (next, end),
                        Err(Unsound) => {
                            self.read = NO_REQUEST.to_vec();
                            (self.stage, self.passed) = (Stage::Rest, self.read.len());
                        }
                    }
                }
                None if self.read.len() >= self.limit => self.stage = Stage::Rest,
                None => self.seen = self.read.len(),
            },
            Stage::Body(0) => {
                self.stage = Stage::Head;
                self.pass();
            }
            Stage::Body(left) => {
                self.passed = usize::try_from(left).unwrap_or(usize::MAX).min(self.read.len());
                self.stage = Stage::Body(left - self.passed as u64);
            }
            Stage::Rest => {}
        }
        if self.stage == Stage::Rest {
            self.passed = self.read.len();
        }
    }

    fn hand_on(&mut self, buf: &mut ReadBuf<'_>) {
        let count = self.passed.min(buf.remaining());
        buf.put_slice(&self.read[..count]);
        self.read.drain(..count);
        self.passed -= count;
    }
}

impl<R: AsyncRead + Unpin> AsyncRead for Heads<R> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.passed == 0 {
                this.pass();
            }
            if this.passed > 0 {
                this.hand_on(buf);
                return Poll::Ready(Ok(()));
            }
            let mut bytes = [0; MOST_AT_ONCE];
            let mut more = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut this.inner).poll_read(cx, &mut more))?;
            if more.filled().is_empty() {
                // The end. What is not whole is refused by whoever reads it.
                (this.stage, this.passed) = (Stage::Rest, this.read.len());
                this.hand_on(buf);
                return Poll::Ready(Ok(()));
            }
            this.read.extend_from_slice(more.filled());
        }
    }
}

/// The end of the first header, with the empty line. Empty lines before it are none of it (RFC 9112, 2.2). Nothing ends before
/// what was `seen` already.
fn end_of_head(bytes: &[u8], seen: usize) -> Option<usize> {
    let begin = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let mut at = begin.max(seen.saturating_sub(2));
    while let Some(offset) = memchr(b'\n', &bytes[at..]) {
        let next = at + offset + 1;
        match bytes[next..] {
            [b'\n', ..] => return Some(next + 1),
            [b'\r', b'\n', ..] => return Some(next + 2),
            _ => at = next,
        }
    }
    None
}

/// What follows a header.
fn what_follows(head: &[u8]) -> Result<Stage, Unsound> {
    let mut lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    let mut lines = lines.by_ref().skip_while(|line| line.is_empty());
    let line = lines.next().ok_or(Unsound)?;
    let is_known = line.ends_with(b" HTTP/1.1") || line.ends_with(b" HTTP/1.0");
    let (mut length, mut coding) = (None, None);
    let mut has_stray = line.contains(&b'\r');
    for field in lines {
        has_stray |= field.contains(&b'\r');
        let Some((name, value)) = memchr(b':', field).map(|colon| (&field[..colon], &field[colon + 1..]))
        else {
            continue;
        };
        if name.eq_ignore_ascii_case(b"content-length") {
            length = Some(value.trim_ascii());
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            let is_only = coding.replace(value.trim_ascii()).is_none();
            has_stray |= !is_only;
        }
    }
    if !is_known || has_stray {
        return Err(Unsound);
    }
    match (length, coding) {
        (Some(_), Some(_)) => Err(Unsound),
        (None, Some(coding)) if coding.eq_ignore_ascii_case(b"chunked") => Ok(Stage::Rest),
        (None, Some(_)) => Err(Unsound),
        (None, None) => Ok(Stage::Head),
        (Some(length), None) => Ok(of_length(length)),
    }
}

/// A body of this length. What is none is left to whoever reads the header, and refuses it.
fn of_length(text: &[u8]) -> Stage {
    let is_number = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    let number = std::str::from_utf8(text).ok().filter(|_| is_number);
    number.and_then(|text| text.parse().ok()).map_or(Stage::Rest, Stage::Body)
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncReadExt;

    use super::*;

    /// All that is handed on of what comes in pieces of this size.
    async fn handed_on(text: &[u8], piece: usize) -> Vec<u8> {
        let mut heads = Heads::new(Pieces(text, piece), 1 << 10);
        let mut all = Vec::new();
        heads.read_to_end(&mut all).await.unwrap();
        all
    }

    struct Pieces<'a>(&'a [u8], usize);

    impl AsyncRead for Pieces<'_> {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let (now, later) = self.0.split_at(self.1.min(self.0.len()));
            buf.put_slice(now);
            self.0 = later;
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn what_means_one_thing_comes_through_as_it_is() {
        for text in [
            "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /b HTTP/1.0\r\n\r\n",
            "\r\n\r\nGET / HTTP/1.1\nHost: a\n\n",
            "PUT / HTTP/1.1\r\nContent-Length: 9\r\n\r\na\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n0\r\n\r\nno request",
            "PUT / HTTP/1.1\r\nContent-Length: none\r\n\r\nno request",
            "GET / HTTP/1.1\r\nHost",
            "",
        ] {
            for piece in [1, 2, 3, 7, 1000] {
                assert_eq!(handed_on(text.as_bytes(), piece).await, text.as_bytes(), "{text:?} {piece}");
            }
        }
        let long = format!("GET / HTTP/1.1\r\nA: {}", "a".repeat(3000));
        assert_eq!(handed_on(long.as_bytes(), 100).await, long.as_bytes());
    }

    #[tokio::test]
    async fn what_may_mean_two_things_is_no_request() {
        for head in [
            "PUT / HTTP/1.1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n\r\n",
            "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\ntransfer-encoding: chunked\r\n\r\n",
            "GET / HTTP/1.1\r\nA: b\rc\r\n\r\n",
            "GET /\r HTTP/1.1\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\n",
            "GET /\r\n\r\n",
        ] {
            for piece in [1, 1000] {
                let text = [b"GET / HTTP/1.1\r\n\r\n", head.as_bytes(), b"GET / HTTP/1.1\r\n\r\n"].concat();
                let handed = handed_on(&text, piece).await;
                assert!(handed.starts_with(&[b"GET / HTTP/1.1\r\n\r\n", NO_REQUEST].concat()), "{head:?}");
            }
        }
    }
}
