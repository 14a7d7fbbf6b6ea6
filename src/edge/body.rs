//! Where the body of an HTTP/1 request ends, so that not a byte of the next request is handed over with it.

use std::io;

/// How the body of a request is framed (RFC 9112 §6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Framing {
    /// There is none.
    None,
    /// So many bytes, more than zero.
    Length(u64),
    /// Chunked.
    Chunked,
}

/// What of a connection's bytes may still be read as part of the present request.
#[derive(Debug)]
pub(super) enum Body {
    /// Everything, to the end of the connection: HTTP/2, or after an upgrade.
    Endless,
    /// So many bytes more; zero is the end.
    Length(u64),
    /// Chunks up to and with the last one.
    Chunked(Chunks),
}

impl Body {
    /// Counts how many of `bytes` belong to the body, from the first on, and moves on by them.
    ///
    /// # Errors
    /// When they break the chunked coding.
    pub(super) fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Endless => Ok(bytes.len()),
            Self::Length(left) => {
                let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= taken as u64;
                Ok(taken)
            }
            Self::Chunked(chunks) => chunks.take(bytes),
        }
    }

    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Endless => false,
            Self::Length(left) => *left == 0,
            Self::Chunked(chunks) => chunks.state == State::Done,
        }
    }
}

impl From<Framing> for Body {
    fn from(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Length(0),
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunks::new()),
        }
    }
}

/// Follows the chunked coding (RFC 9112 §7.1) strictly: lines end with CRLF, sizes are plain hexadecimal, and
/// extensions and trailers are bounded.
#[derive(Debug)]
pub(super) struct Chunks {
    state: State,
    size: u64,
    digits: u8,
    /// Bytes of extensions, and later of trailers, so far.
    extra: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a trailer line, which may be the empty one.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    LastLf,
    Done,
}

const MAX_DIGITS: u8 = 15;
const MAX_EXTRA: usize = 8 * 1024;

impl Chunks {
    fn new() -> Self {
        Self { state: State::Size, size: 0, digits: 0, extra: 0 }
    }

    fn take(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut at = 0;
        while at < bytes.len() && self.state != State::Done {
            if self.state == State::Data {
                let run = (bytes.len() - at).min(usize::try_from(self.size).unwrap_or(usize::MAX));
                self.size -= run as u64;
                at += run;
                if self.size == 0 {
                    self.state = State::DataCr;
                }
            } else {
                self.state = self.next(bytes[at])?;
                at += 1;
            }
        }
        Ok(at)
    }

    fn next(&mut self, byte: u8) -> io::Result<State> {
        let next = match (self.state, byte) {
            (State::Size, b'\r') if self.digits > 0 => State::SizeLf,
            (State::Size, b';') if self.digits > 0 => State::Extension,
            (State::Size, _) if self.digits < MAX_DIGITS && byte.is_ascii_hexdigit() => self.digit(byte),
            (State::Extension, b'\r') => State::SizeLf,
            (State::Extension, _) if is_text(byte) => self.count_extra(State::Extension)?,
            (State::SizeLf, b'\n') if self.size == 0 => State::TrailerStart,
            (State::SizeLf, b'\n') => State::Data,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                self.digits = 0;
                State::Size
            }
            (State::TrailerStart, b'\r') => State::LastLf,
            // A line that begins with a blank would continue the one before it (obs-fold).
            (State::TrailerStart | State::TrailerName, _) if is_token(byte) => {
                self.count_extra(State::TrailerName)?
            }
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, _) if is_text(byte) => self.count_extra(State::TrailerValue)?,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::LastLf, b'\n') => State::Done,
            _ => return Err(broken()),
        };
        Ok(next)
    }

    fn digit(&mut self, byte: u8) -> State {
        let digit = char::from(byte).to_digit(16).unwrap_or(0);
        self.size = self.size * 16 + u64::from(digit);
        self.digits += 1;
        State::Size
    }

    fn count_extra(&mut self, state: State) -> io::Result<State> {
        self.extra += 1;
        if self.extra > MAX_EXTRA { Err(broken()) } else { Ok(state) }
    }
}

/// A byte of a field's name (RFC 9110 §5.6.2).
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn broken() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "broken chunked coding")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn end_of(text: &[u8]) -> io::Result<usize> {
        let mut body = Body::from(Framing::Chunked);
        let taken = body.take(text)?;
        assert!(body.is_done() || taken == text.len());
        Ok(taken)
    }

    #[test]
    fn ends_with_the_last_chunk_and_its_trailers() {
        let cases: [&[u8]; 4] = [
            b"0\r\n\r\n",
            b"5\r\nhello\r\n0\r\n\r\n",
            b"A;name=value\r\n0123456789\r\n0\r\n\r\n",
            b"0\r\nDigest: x\r\nMore: y\r\n\r\n",
        ];
        for case in cases {
            let with_next = [case, b"GET / HTTP/1.1\r\n\r\n"].concat();
            assert_eq!(end_of(&with_next).unwrap(), case.len());
        }
    }

    #[test]
    fn refuses_what_others_read_differently() {
        let cases: [&[u8]; 12] = [
            b"5\nhello\r\n",
            b"5\r\nhello0\r\n",
            b"5\r\nhello\n0\r\n\r\n",
            b"+5\r\n",
            b"0x5\r\n",
            b" 5\r\n",
            b"\r\n",
            b"1234567890123456\r\n",
            b"0\r\nA: b\r\n folded\r\n\r\n",
            b"0\r\nno colon\r\n\r\n",
            b"0\r\nA : b\r\n\r\n",
            b"0\r\n: b\r\n\r\n",
        ];
        for case in cases {
            assert!(end_of(case).is_err(), "{}", case.escape_ascii());
        }
        assert!(end_of(&[b"1;".as_slice(), &vec![b'x'; 9000]].concat()).is_err());
    }

    #[test]
    fn a_length_is_an_end() {
        let mut body = Body::from(Framing::Length(5));
        assert_eq!(body.take(b"hel").unwrap(), 3);
        assert_eq!(body.take(b"loGET").unwrap(), 2);
        assert!(body.is_done());
        assert!(Body::from(Framing::None).is_done());
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(cut in prop::collection::vec(1usize..7, 1..40)) {
            let text = b"3;x\r\nabc\r\n10\r\n0123456789abcdef\r\n0\r\nT: v\r\n\r\nNEXT";
            let mut body = Body::from(Framing::Chunked);
            let (mut at, mut taken) = (0, 0);
            for len in cut.iter().cycle() {
                let piece = &text[at..(at + len).min(text.len())];
                taken += body.take(piece).unwrap();
                at += piece.len();
                if at == text.len() {
                    break;
                }
            }
            prop_assert!(body.is_done());
            prop_assert_eq!(taken, text.len() - 4);
        }
    }
}
