//! Follows the frames of one direction of an HTTP/2 connection, without reading what is in them.

/// What frames are for (RFC 9113 §6).
pub(super) mod kind {
    pub(in super::super) const DATA: u8 = 0x0;
    pub(in super::super) const HEADERS: u8 = 0x1;
    pub(in super::super) const RST_STREAM: u8 = 0x3;
    pub(in super::super) const SETTINGS: u8 = 0x4;
    pub(in super::super) const PING: u8 = 0x6;
    pub(in super::super) const WINDOW_UPDATE: u8 = 0x8;
    pub(in super::super) const CONTINUATION: u8 = 0x9;
}

const ACK: u8 = 0x1;
const END_STREAM: u8 = 0x1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;

/// RFC 9113 §4.1.
const HEADER: usize = 9;
/// Of a payload so much is looked at: the increment of a WINDOW_UPDATE, and how much of a DATA frame is padding.
const LOOKED_AT: usize = 4;

/// The header of a frame, and how its payload begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Frame {
    pub(super) kind: u8,
    flags: u8,
    pub(super) stream: u32,
    /// Of the payload.
    pub(super) length: usize,
    /// Zeros where the payload is shorter.
    start: [u8; LOOKED_AT],
}

impl Frame {
    fn new(bytes: &[u8; HEADER + LOOKED_AT]) -> Self {
        let [l0, l1, l2, kind, flags, s0, s1, s2, s3, start @ ..] = *bytes;
        Self {
            kind,
            flags,
            stream: u32::from_be_bytes([s0, s1, s2, s3]) & (u32::MAX >> 1),
            length: u32::from_be_bytes([0, l0, l1, l2]) as usize,
            start,
        }
    }

    /// Whether a SETTINGS or PING frame acknowledges another.
    pub(super) fn is_ack(&self) -> bool {
        self.flags & ACK != 0
    }

    /// Whether a DATA or HEADERS frame is the last of its stream in this direction.
    pub(super) fn ends_stream(&self) -> bool {
        self.flags & END_STREAM != 0
    }

    /// Whether a header block ends with this HEADERS or CONTINUATION frame.
    pub(super) fn ends_headers(&self) -> bool {
        self.flags & END_HEADERS != 0
    }

    /// Whether a DATA frame says nothing at all: no byte but padding, and not the end of the stream.
    pub(super) fn is_idle_talk(&self) -> bool {
        let padding = if self.flags & PADDED != 0 { 1 + usize::from(self.start[0]) } else { 0 };
        self.flags & END_STREAM == 0 && self.length <= padding
    }

    /// By how much a WINDOW_UPDATE frame opens the window.
    pub(super) fn increment(&self) -> u32 {
        u32::from_be_bytes(self.start) & (u32::MAX >> 1)
    }
}

/// Where in the stream of frames a direction is.
#[derive(Debug)]
pub(super) struct FrameScan {
    /// So many bytes come before the next frame: the rest of a payload, at first the client's preface.
    skip: usize,
    head: [u8; HEADER + LOOKED_AT],
    filled: usize,
}

impl FrameScan {
    /// The first frame comes after so many bytes.
    pub(super) fn after(preface: usize) -> Self {
        Self { skip: preface, head: [0; HEADER + LOOKED_AT], filled: 0 }
    }

    /// Takes more bytes and shows each frame as soon as its header and the looked-at part of its payload have come.
    ///
    /// # Errors
    /// Those of `seen`, at once; the place in the stream of frames is lost then.
    pub(super) fn advance<E>(
        &mut self,
        mut bytes: &[u8],
        mut seen: impl FnMut(Frame) -> Result<(), E>,
    ) -> Result<(), E> {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = &bytes[skipped..];
            if !self.fill(&mut bytes) {
                return Ok(());
            }
            let frame = Frame::new(&self.head);
            self.skip = frame.length.saturating_sub(LOOKED_AT);
            self.filled = 0;
            self.head = [0; HEADER + LOOKED_AT];
            seen(frame)?;
        }
    }

    /// Whether all bytes of the last frame have come.
    pub(super) fn is_between_frames(&self) -> bool {
        self.skip == 0 && self.filled == 0
    }

    /// Gathers the part of a frame that is looked at; false when bytes are missing.
    fn fill(&mut self, bytes: &mut &[u8]) -> bool {
        self.gather(HEADER, bytes)
            && self.gather(HEADER + Frame::new(&self.head).length.min(LOOKED_AT), bytes)
    }

    fn gather(&mut self, wanted: usize, bytes: &mut &[u8]) -> bool {
        let (taken, left) = bytes.split_at(wanted.saturating_sub(self.filled).min(bytes.len()));
        self.head[self.filled..self.filled + taken.len()].copy_from_slice(taken);
        self.filled += taken.len();
        *bytes = left;
        self.filled >= wanted
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::samples::{bytes_of, frames};
    use super::*;

    fn scan(pieces: &[&[u8]], preface: usize) -> (Vec<Frame>, bool) {
        let mut scan = FrameScan::after(preface);
        let mut seen = Vec::new();
        for piece in pieces {
            let Ok(()) = scan.advance(piece, |frame| {
                seen.push(frame);
                Ok::<_, std::convert::Infallible>(())
            });
        }
        (seen, scan.is_between_frames())
    }

    #[test]
    fn a_frame_is_seen_once_what_is_looked_at_has_come() {
        let bytes = [0, 0, 5, kind::DATA, PADDED, 0x80, 0, 0, 7, 3, 1, 0, 0, 0];
        let (seen, is_done) = scan(&[&bytes[..12]], 0);
        assert_eq!((seen.len(), is_done), (0, false));
        let (seen, is_done) = scan(&[&bytes[..13]], 0);
        assert_eq!((seen[0].kind, seen[0].stream, seen[0].length), (kind::DATA, 7, 5));
        assert!(!seen[0].is_idle_talk());
        assert!(!is_done);
        assert!(scan(&[&bytes], 0).1);
    }

    #[test]
    fn a_frame_without_a_payload_is_whole_with_its_header() {
        let (seen, is_done) = scan(&[&[0, 0, 0, kind::SETTINGS, ACK, 0, 0, 0, 0]], 0);
        assert!(seen[0].is_ack() && is_done);
        let (seen, _) = scan(&[&[0, 0, 0, kind::DATA, 0, 0, 0, 0, 1]], 0);
        assert!(seen[0].is_idle_talk());
        let (seen, _) = scan(&[&[0, 0, 0, kind::DATA, END_STREAM, 0, 0, 0, 1]], 0);
        assert!(!seen[0].is_idle_talk());
    }

    proptest! {
        /// However the bytes are split, the frames are those that were written.
        #[test]
        fn splitting_changes_nothing(
            written in frames(),
            preface in 0..30_usize,
            cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        ) {
            let bytes = [vec![0; preface], bytes_of(&written)].concat();
            let mut cuts: Vec<_> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
            cuts.sort_unstable();
            let mut pieces = Vec::new();
            let mut start = 0;
            for end in cuts.into_iter().chain([bytes.len()]) {
                pieces.push(&bytes[start..end]);
                start = end;
            }
            let (seen, is_done) = scan(&pieces, preface);
            prop_assert!(is_done);
            prop_assert_eq!(seen.len(), written.len());
            for (seen, written) in seen.iter().zip(&written) {
                prop_assert_eq!(seen.kind, written.kind);
                prop_assert_eq!(seen.flags, written.flags);
                prop_assert_eq!(seen.stream, written.stream);
                prop_assert_eq!(seen.length, written.payload.len());
                let start = seen.length.min(LOOKED_AT);
                prop_assert_eq!(&seen.start[..start], &written.payload[..start]);
                prop_assert!(seen.start[start..].iter().all(|&byte| byte == 0));
            }
        }
    }
}
