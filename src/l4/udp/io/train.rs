use nix::sys::socket::{ControlMessageOwned, RecvMsg, SockaddrLike};

use crate::l4::udp::flows::Volume;

/// One datagram, or several of one sender that follow each other without a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::l4::udp) struct Train {
    /// Bytes in all.
    pub(in crate::l4::udp) len: usize,
    /// Bytes of each datagram but the last, which may be shorter.
    stride: u16,
}

impl Train {
    pub(in crate::l4::udp) fn new(len: usize, stride: Option<u16>) -> Self {
        // Of a single datagram the length is all that matters, and a train of more than 65535 bytes cannot be.
        Self { len, stride: stride.filter(|stride| *stride > 0).unwrap_or(u16::MAX) }
    }

    /// What one call received; the last that comes with it is for other control messages. `None` when the control
    /// messages were cut off, so that nobody knows where the datagrams end.
    pub(super) fn received<S: SockaddrLike>(
        message: &RecvMsg<'_, '_, S>,
        mut other: impl FnMut(&ControlMessageOwned),
    ) -> Option<Self> {
        let mut stride = None;
        for control in message.cmsgs().ok()? {
            match control {
                ControlMessageOwned::UdpGroSegments(bytes) => stride = u16::try_from(bytes).ok(),
                control => other(&control),
            }
        }
        Some(Self::new(message.bytes, stride))
    }

    /// The length at which the kernel is to cut it; `None` for a single datagram.
    pub(in crate::l4::udp) fn segment(self) -> Option<u16> {
        (self.len > usize::from(self.stride)).then_some(self.stride)
    }

    pub(in crate::l4::udp) fn volume(self) -> Volume {
        // An empty datagram is one, too.
        let datagrams = self.len.div_ceil(usize::from(self.stride)).max(1);
        Volume { datagrams: datagrams as u64, bytes: self.len as u64 }
    }

    /// Its datagrams one by one, each with its place.
    pub(super) fn datagrams(self) -> impl Iterator<Item = (usize, Self)> {
        let stride = usize::from(self.stride);
        let starts = (0..self.len.max(1)).step_by(stride);
        starts.map(move |start| (start, Self::new((self.len - start).min(stride), None)))
    }
}

/// The kernel takes at least so many datagrams, and bytes, at once.
const MOST_JOINED: usize = 64;
const MOST_BYTES: usize = 65_000;

/// How many trains to one place, from the first on, can be handed to the kernel as one, and the length at which it is to
/// cut that: datagrams of the same length, of which the last may be shorter.
pub(super) fn joined(trains: impl IntoIterator<Item = Train>) -> (usize, Option<u16>) {
    let mut trains = trains.into_iter();
    let Some(first) = trains.next() else { return (0, None) };
    let (mut count, mut bytes, mut last) = (1, first.len, first);
    for train in trains {
        let is_alike = first.segment().is_none() && train.segment().is_none() && last.len == first.len;
        let has_bytes = train.len > 0 && train.len <= first.len;
        if !is_alike || !has_bytes || count == MOST_JOINED || bytes + train.len > MOST_BYTES {
            break;
        }
        (count, bytes, last) = (count + 1, bytes + train.len, train);
    }
    // What is joined has less than 65536 bytes.
    (count, if count > 1 { Some(first.len as u16) } else { first.segment() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_datagram_may_be_shorter() {
        let train = Train::new(25, Some(10));
        assert_eq!(train.segment(), Some(10));
        assert_eq!((train.volume().datagrams, train.volume().bytes), (3, 25));
        let parts: Vec<_> = train.datagrams().map(|(start, part)| (start, part.len)).collect();
        assert_eq!(parts, [(0, 10), (10, 10), (20, 5)]);
    }

    #[test]
    fn a_single_datagram_is_not_cut_whatever_its_length() {
        for len in [0, 1, 1500, 65_507, 65_535] {
            for stride in [None, Some(len as u16)] {
                let train = Train::new(len, stride);
                assert_eq!((train.segment(), train.volume().datagrams), (None, 1), "{len} {stride:?}");
                assert_eq!(
                    train.datagrams().map(|(start, part)| (start, part.len)).collect::<Vec<_>>(),
                    [(0, len)]
                );
            }
        }
    }

    #[test]
    fn datagrams_of_one_length_are_joined_up_to_a_shorter_one() {
        let joined_of = |lengths: &[usize]| joined(lengths.iter().map(|&len| Train::new(len, None)));
        for (lengths, expected) in [
            (&[10, 10, 10][..], (3, Some(10))),
            (&[10, 10, 4, 10], (3, Some(10))),
            (&[10, 11], (1, None)),
            (&[10, 4, 4], (2, Some(10))),
            (&[10, 0, 10], (1, None)),
            (&[0, 0], (1, None)),
            (&[30_000; 3], (2, Some(30_000))),
            (&[40_000; 2], (1, None)),
            (&[1; 100], (64, Some(1))),
        ] {
            assert_eq!(joined_of(lengths), expected, "{lengths:?}");
        }
        let trains = [Train::new(20, Some(10)), Train::new(20, Some(10))];
        assert_eq!(joined(trains), (1, Some(10)), "a train stays by itself");
        assert_eq!(joined([Train::new(10, None), trains[0]]), (1, None));
    }
}
