use std::os::fd::OwnedFd;

use super::error::Cause;

/// What goes over the socket at a time: five bytes of head (the kind, and the length in network order), and a body.
#[derive(Debug)]
pub(super) enum Frame {
    /// JSON.
    Message(Vec<u8>),
    /// A part of what a message has announced.
    Bytes(Vec<u8>),
    /// As many as the body says, which it was sent with.
    Descriptors(Vec<OwnedFd>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Bytes,
    Descriptors,
}

/// The frame that is being read. Memory is taken as bytes arrive, whatever the head says will come.
#[derive(Debug, Default)]
pub(super) struct Incoming {
    bytes: Vec<u8>,
    descriptors: Vec<OwnedFd>,
}

/// A message that is larger is surely none: it is enough for the names of 30 000 sockets.
pub(super) const MOST_MESSAGE: usize = 4 << 20;
/// Descriptors in one frame; the kernel takes 253.
pub(super) const MOST_DESCRIPTORS: usize = 64;
/// A part of something longer.
pub(super) const MOST_BYTES: usize = 1 << 20;

const HEAD: usize = 5;

pub(super) fn head(kind: Kind, length: usize) -> [u8; HEAD] {
    // Longer bodies are refused by whoever makes them, and by whoever reads them.
    let length = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let [a, b, c, d] = length;
    [kind.byte(), a, b, c, d]
}

impl Kind {
    fn byte(self) -> u8 {
        match self {
            Self::Message => b'M',
            Self::Bytes => b'B',
            Self::Descriptors => b'D',
        }
    }

    fn of(byte: u8) -> Result<Self, Cause> {
        [Self::Message, Self::Bytes, Self::Descriptors]
            .into_iter()
            .find(|kind| kind.byte() == byte)
            .ok_or_else(|| Cause::Malformed(format!("a frame begins with byte {byte}")))
    }

    fn check(self, length: usize) -> Result<(), Cause> {
        let (what, most) = match self {
            Self::Message => ("a message", MOST_MESSAGE),
            Self::Bytes => ("a part", MOST_BYTES),
            Self::Descriptors => ("a count", size_of::<u32>()),
        };
        if length > most {
            return Err(Cause::TooLarge { what, size: length as u64, most: most as u64 });
        }
        Ok(())
    }
}

impl Incoming {
    /// How many bytes there are to read before the next look; none when the frame is whole.
    pub(super) fn wanted(&self) -> Result<usize, Cause> {
        let Some((kind, length)) = self.head()? else { return Ok(HEAD - self.bytes.len()) };
        kind.check(length)?;
        Ok(HEAD + length - self.bytes.len())
    }

    /// Adds no more than what is wanted.
    pub(super) fn add(&mut self, bytes: &[u8], descriptors: Vec<OwnedFd>) -> Result<(), Cause> {
        self.bytes.extend_from_slice(bytes);
        self.descriptors.extend(descriptors);
        if self.descriptors.len() > MOST_DESCRIPTORS {
            return Err(Cause::WrongCount { got: self.descriptors.len(), expected: MOST_DESCRIPTORS });
        }
        Ok(())
    }

    /// Takes out a frame that is whole.
    pub(super) fn take(&mut self) -> Result<Frame, Cause> {
        let Self { mut bytes, descriptors } = std::mem::take(self);
        let Some(&first) = bytes.first() else { return Err(Cause::Malformed("a frame is empty".to_owned())) };
        let kind = Kind::of(first)?;
        bytes.drain(..HEAD.min(bytes.len()));
        let expected = match kind {
            Kind::Descriptors => count(&bytes)?,
            Kind::Message | Kind::Bytes => 0,
        };
        if descriptors.len() != expected {
            return Err(Cause::WrongCount { got: descriptors.len(), expected });
        }
        Ok(match kind {
            Kind::Message => Frame::Message(bytes),
            Kind::Bytes => Frame::Bytes(bytes),
            Kind::Descriptors => Frame::Descriptors(descriptors),
        })
    }

    /// What it means that nothing more comes.
    pub(super) fn ended(&self) -> Cause {
        if self.bytes.is_empty() {
            return Cause::Closed;
        }
        Cause::Truncated(self.bytes.len())
    }

    #[cfg(test)]
    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    fn head(&self) -> Result<Option<(Kind, usize)>, Cause> {
        let Some(&[kind, a, b, c, d]) = self.bytes.first_chunk::<HEAD>() else { return Ok(None) };
        let length = u32::from_be_bytes([a, b, c, d]);
        Ok(Some((Kind::of(kind)?, usize::try_from(length).unwrap_or(usize::MAX))))
    }
}

fn count(body: &[u8]) -> Result<usize, Cause> {
    let bytes = body.try_into().map_err(|_| Cause::Malformed("a count is not a number".to_owned()))?;
    Ok(usize::try_from(u32::from_be_bytes(bytes)).unwrap_or(usize::MAX))
}
