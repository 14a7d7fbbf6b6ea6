use std::io::{self, Write};

use flate2::{Decompress, FlushDecompress, Status};

/// Decodes `deflate`, which is meant to have the header of zlib (RFC 9110 §8.4.1.2), and has none where it comes from servers
/// that have read that another way.
pub(super) struct Inflate<W> {
    /// Once the first byte has told which it is.
    stream: Option<Decompress>,
    has_ended: bool,
    pub(super) sink: W,
}

impl<W: Write> Inflate<W> {
    pub(super) fn new(sink: W) -> Self {
        Self { stream: None, has_ended: false, sink }
    }

    pub(super) fn decode(&mut self, mut piece: &[u8]) -> io::Result<()> {
        let Some(&first) = piece.first() else { return Ok(()) };
        let stream = self.stream.get_or_insert_with(|| Decompress::new(is_zlib(first)));
        let mut out = [0; 16 * 1024];
        while !self.has_ended {
            let before = (stream.total_in(), stream.total_out());
            let status = stream.decompress(piece, &mut out, FlushDecompress::None)?;
            let since = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
            let taken = since(stream.total_in(), before.0);
            let made = since(stream.total_out(), before.1);
            self.sink.write_all(&out[..made])?;
            piece = &piece[taken..];
            self.has_ended = status == Status::StreamEnd;
            if taken == 0 && made == 0 {
                return Ok(());
            }
        }
        if piece.is_empty() { Ok(()) } else { Err(io::Error::other("bytes after the end")) }
    }

    pub(super) fn finish(&self) -> io::Result<()> {
        if self.has_ended { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }
}

/// Whether a stream begins with the header of zlib: its method is 8 and its window at most 32 KiB (RFC 1950 §2.2). Without
/// one, such a byte would begin a block that is stored, in the midst of which bits are set that have to be zero.
fn is_zlib(first: u8) -> bool {
    first & 0x0f == 8 && first >> 4 <= 7
}
