//! Where the chunks of a response end, which is where its trailers stand.

/// How Pingora ends a body in chunks, in one piece; it knows no trailers in HTTP/1.
const LAST: &[u8] = b"0\r\n\r\n";

/// Tells the last chunk of a response from bytes of its body that look the same.
///
/// Pingora writes a chunk as its size, its bytes and a line end, and then flushes; the last one it writes at once. So a
/// piece that follows a flush is the size of a chunk or the last one whole, and never what a body is made of.
#[derive(Debug, Default)]
pub(super) struct LastChunk {
    follows_flush: bool,
}

impl LastChunk {
    pub(super) fn on_flush(&mut self) {
        self.follows_flush = true;
    }

    /// Whether the piece that is written now is the last chunk.
    pub(super) fn is_it(&mut self, piece: &[u8]) -> bool {
        std::mem::take(&mut self.follows_flush) && piece == LAST
    }
}

/// The last chunk with these trailers, which are whole lines.
pub(super) fn with_trailers(trailers: &[u8]) -> Vec<u8> {
    [b"0\r\n", trailers, b"\r\n"].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_follows_a_flush_is_the_last_chunk() {
        let mut last = LastChunk::default();
        assert!(!last.is_it(b"HTTP/1.1 200 OK\r\n\r\n"));
        assert!(!last.is_it(LAST));
        last.on_flush();
        // A body of the very bytes of a last chunk.
        for piece in [b"5\r\n".as_slice(), LAST, b"\r\n"] {
            assert!(!last.is_it(piece));
        }
        last.on_flush();
        assert!(last.is_it(LAST));
    }

    #[test]
    fn trailers_stand_between_the_size_and_the_empty_line() {
        assert_eq!(with_trailers(b"a: b\r\nc: d\r\n"), b"0\r\na: b\r\nc: d\r\n\r\n");
    }
}
