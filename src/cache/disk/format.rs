use std::ops::Range;

use twox_hash::XxHash3_64;

/// What a file says of the answer in it. The body follows in blocks, each with its checksum; the file ends with the last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// Which body this is. Its checksums depend on it, so that no block of another file passes for one of this.
    pub(super) id: u64,
    /// How many rules of removal there had been when the answer came.
    pub(super) sequence: u64,
    pub(super) body: u64,
    /// All else that is known of it.
    pub(super) answer: Vec<u8>,
}

/// Where the body of a file lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// The bytes before it.
    pub(super) header: usize,
    pub(super) id: u64,
    pub(super) body: u64,
}

/// A body is read and checked by so many bytes.
pub(super) const BLOCK: usize = 64 * 1024;
/// The bytes of a checksum.
pub(super) const SUM: usize = 8;
/// What is read to know how long a header is.
pub(super) const PREFIX: usize = 16;

const MAGIC: [u8; 8] = *b"evener\x00\x01";
/// The bytes of a header besides the answer.
const FIXED: usize = PREFIX + 3 * 8 + SUM;
/// Room for a later header, with fields that word of no change brings along.
const SLACK: usize = 512;
const STEP: usize = 512;
/// No head is as long as that.
const MOST: usize = 1 << 20;

// === impl Header ===

impl Header {
    /// The bytes of the header, with room for a later one; `None` when it is too long.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let room = (FIXED + self.answer.len() + SLACK).next_multiple_of(STEP);
        if room > MOST { None } else { self.encode_into(room) }
    }

    /// The same in just so many bytes.
    pub(super) fn encode_into(&self, room: usize) -> Option<Vec<u8>> {
        let length = FIXED + self.answer.len();
        if length > room {
            return None;
        }
        let mut bytes = Vec::with_capacity(room);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&u32::try_from(room).ok()?.to_le_bytes());
        bytes.extend_from_slice(&u32::try_from(length).ok()?.to_le_bytes());
        for number in [self.id, self.sequence, self.body] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&self.answer);
        bytes.extend_from_slice(&XxHash3_64::oneshot(&bytes).to_le_bytes());
        bytes.resize(room, 0);
        Some(bytes)
    }

    /// The room that a header takes which begins so; `None` where none does.
    pub(super) fn room(prefix: &[u8]) -> Option<usize> {
        let (room, length) = lengths(prefix)?;
        ((FIXED..=MOST).contains(&room) && (FIXED..=room).contains(&length)).then_some(room)
    }

    /// The header in its room; `None` when it is not as it was written.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (_, length) = lengths(bytes)?;
        let (content, sum) = bytes.get(..length)?.split_last_chunk::<SUM>()?;
        if XxHash3_64::oneshot(content) != u64::from_le_bytes(*sum) {
            return None;
        }
        let (numbers, answer) = content.get(PREFIX..)?.split_at_checked(3 * 8)?;
        let mut numbers =
            numbers.chunks_exact(8).filter_map(|bytes| bytes.try_into().ok().map(u64::from_le_bytes));
        let [id, sequence, body] = [numbers.next()?, numbers.next()?, numbers.next()?];
        Some(Self { id, sequence, body, answer: answer.to_vec() })
    }
}

/// The room and the length that a header tells.
fn lengths(prefix: &[u8]) -> Option<(usize, usize)> {
    let lengths = prefix.strip_prefix(&MAGIC)?;
    let (room, rest) = lengths.split_first_chunk::<4>()?;
    let (length, _) = rest.split_first_chunk::<4>()?;
    let [room, length] = [room, length].map(|bytes| usize::try_from(u32::from_le_bytes(*bytes)).ok());
    Some((room?, length?))
}

// === impl Layout ===

impl Layout {
    /// The length of the whole file; `None` when no file is so long.
    pub(super) fn file(&self) -> Option<u64> {
        let sums = self.body.div_ceil(BLOCK as u64).checked_mul(SUM as u64)?;
        self.body.checked_add(sums)?.checked_add(self.header as u64)
    }

    /// The bytes of the file that hold a block with its checksum; `None` when the body has no such block.
    pub(super) fn block(&self, index: u64) -> Option<Range<u64>> {
        let before = index.checked_mul(BLOCK as u64).filter(|before| *before < self.body)?;
        let start = self.header as u64 + before + index * SUM as u64;
        Some(start..start + (self.body - before).min(BLOCK as u64) + SUM as u64)
    }
}

/// The checksum that stands behind a block.
pub(super) fn sum(id: u64, index: u64, block: &[u8]) -> [u8; SUM] {
    XxHash3_64::oneshot_with_seed(id.wrapping_add(index), block).to_le_bytes()
}

/// The length of a block without its checksum; `None` when it is not as it was written.
pub(super) fn checked(id: u64, index: u64, stored: &[u8]) -> Option<usize> {
    let (block, stored_sum) = stored.split_last_chunk::<SUM>()?;
    (sum(id, index, block) == *stored_sum).then_some(block.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        Header { id: 7, sequence: 2, body: 5, answer: b"all else".to_vec() }
    }

    #[test]
    fn a_header_comes_back_as_it_was() {
        let bytes = header().encode().unwrap();
        assert_eq!((bytes.len() % STEP, Header::room(&bytes[..PREFIX])), (0, Some(bytes.len())));
        assert_eq!(Header::decode(&bytes), Some(header()));
        let longer = Header { answer: vec![1; 300], ..header() };
        let bytes = longer.encode_into(bytes.len()).unwrap();
        assert_eq!(Header::decode(&bytes), Some(longer));
        assert_eq!(header().encode_into(FIXED), None);
        assert_eq!(Header { answer: vec![0; MOST], ..header() }.encode(), None);
    }

    #[test]
    fn blocks_follow_the_header_and_each_other() {
        let block = BLOCK as u64;
        let layout = Layout { header: 512, id: 1, body: 2 * block + 1 };
        assert_eq!(layout.file(), Some(512 + 2 * block + 1 + 3 * 8));
        assert_eq!(layout.block(0), Some(512..512 + block + 8));
        assert_eq!(layout.block(2), Some(512 + 2 * (block + 8)..512 + 2 * (block + 8) + 9));
        assert_eq!(layout.block(3), None);
        assert_eq!(Layout { body: 0, ..layout }.block(0), None);
        assert_eq!(Layout { body: u64::MAX, ..layout }.file(), None);
    }

    #[test]
    fn a_block_of_another_body_or_place_is_none_of_this() {
        let stored = [&b"block"[..], &sum(1, 0, b"block")].concat();
        assert_eq!(checked(1, 0, &stored), Some(5));
        assert_eq!((checked(2, 0, &stored), checked(1, 1, &stored)), (None, None));
        assert_eq!(checked(1, 0, b"short"), None);
    }

    proptest! {
        #[test]
        fn a_header_that_has_changed_is_none(
            answer in proptest::collection::vec(any::<u8>(), 0..600),
            at in any::<proptest::sample::Index>(),
            flip in 1..=255_u8,
        ) {
            let header = Header { answer, ..header() };
            let mut bytes = header.encode().unwrap();
            let length = FIXED + header.answer.len();
            let at = at.index(length);
            bytes[at] ^= flip;
            // The room itself is no part of what is told; with another one the file has not the length that it should have.
            let same_room = Header::room(&bytes) == Some(bytes.len());
            prop_assert!(!same_room || Header::decode(&bytes).is_none());
            prop_assert_eq!(Header::decode(&header.encode().unwrap()[..at]), None);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            let mut bytes = bytes;
            Header::room(&bytes);
            Header::decode(&bytes);
            bytes.splice(0..0, MAGIC);
            Header::room(&bytes);
            Header::decode(&bytes);
        }
    }
}
