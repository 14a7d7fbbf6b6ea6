use std::io::{self, Write};

use brotli::DecompressorWriter;
use flate2::write::MultiGzDecoder;
use zstd::stream::raw::DParameter;
use zstd::stream::zio;

use super::inflate::Inflate;

/// The coding of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coded {
    Gzip,
    Br,
    Zstd,
    Deflate,
}

/// Decodes a body piece by piece, within bounds.
pub(super) struct Decoder {
    stream: Stream,
    limits: Limits,
    taken: u64,
    made: u64,
    memory: u64,
}

/// What may come of a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    pub(super) size: u64,
    pub(super) ratio: u64,
}

/// Why a body cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum Undecodable {
    #[error("it becomes longer than it may")]
    TooLong,
    #[error("it is not what it says: {0}")]
    Broken(io::Error),
}

enum Stream {
    Gzip(MultiGzDecoder<Sink>),
    Brotli(Box<DecompressorWriter<Sink>>),
    Zstd(zio::Writer<Sink, zstd::stream::raw::Decoder<'static>>),
    Deflate(Inflate<Sink>),
}

/// Takes so much and no more.
#[derive(Default)]
struct Sink {
    bytes: Vec<u8>,
    room: usize,
    is_over: bool,
}

/// So much may come of anything, a piece or all of it, whatever its ratio: short texts can be very regular.
const ALWAYS_BORNE: u64 = 1024 * 1024;
/// What Zstandard may be made with for clients (RFC 9659): 8 MiB.
const ZSTD_WINDOW: u32 = 23;
/// The longest that Brotli has (RFC 7932 §9.1): 16 MiB.
const BROTLI_WINDOW: u32 = 24;
const STEP: usize = 16 * 1024;
/// What a decoder takes with a window of 32 KiB.
const SMALL: u64 = 64 * 1024;
/// What one takes beside a larger window.
const TABLES: u64 = 512 * 1024;

impl Coded {
    pub(super) const ALL: [Self; 4] = [Self::Gzip, Self::Br, Self::Zstd, Self::Deflate];

    /// By its name in headers.
    pub(super) fn named(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"x-gzip") {
            return Some(Self::Gzip);
        }
        Self::ALL.into_iter().find(|coded| name.eq_ignore_ascii_case(coded.as_str().as_bytes()))
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Br => "br",
            Self::Zstd => "zstd",
            Self::Deflate => "deflate",
        }
    }

    /// What its decoder takes at most.
    pub(super) fn most_memory(self) -> u64 {
        match self {
            Self::Gzip | Self::Deflate => SMALL,
            Self::Br => TABLES + (1 << BROTLI_WINDOW),
            Self::Zstd => TABLES + (1 << ZSTD_WINDOW),
        }
    }
}

impl Decoder {
    pub(super) fn new(coded: Coded, limits: Limits) -> io::Result<Self> {
        let sink = Sink::default();
        let stream = match coded {
            Coded::Gzip => Stream::Gzip(MultiGzDecoder::new(sink)),
            Coded::Br => Stream::Brotli(Box::new(DecompressorWriter::new(sink, STEP))),
            Coded::Zstd => {
                let mut decoder = zstd::stream::raw::Decoder::new()?;
                decoder.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW))?;
                Stream::Zstd(zio::Writer::new_with_capacity(sink, decoder, STEP))
            }
            Coded::Deflate => Stream::Deflate(Inflate::new(sink)),
        };
        Ok(Self { stream, limits, taken: 0, made: 0, memory: coded.most_memory() })
    }

    /// What it takes, as far as that is known by now.
    pub(super) fn memory(&self) -> u64 {
        self.memory
    }

    /// Puts a piece in, and takes out what there is by then; after `end` there is no more.
    pub(super) fn decode(&mut self, piece: &[u8], end: bool) -> Result<Vec<u8>, Undecodable> {
        if self.taken == 0 {
            self.look_at_window(piece).map_err(Undecodable::Broken)?;
        }
        self.taken = self.taken.saturating_add(piece.len() as u64);
        let room = self.room(piece.len() as u64);
        let sink = self.stream.sink();
        sink.room = usize::try_from(room).unwrap_or(usize::MAX);
        // Nothing at all is no body that breaks off.
        let is_nothing = end && self.taken == 0;
        let decoded = if is_nothing { Ok(()) } else { self.stream.put(piece, end) };
        let sink = self.stream.sink();
        let is_over = sink.is_over;
        let bytes = std::mem::take(&mut sink.bytes);
        match decoded {
            _ if is_over => Err(Undecodable::TooLong),
            Ok(()) => {
                self.made = self.made.saturating_add(bytes.len() as u64);
                Ok(bytes)
            }
            Err(error) => Err(Undecodable::Broken(error)),
        }
    }

    /// Refuses the windows of up to 1 GiB that Brotli's library would take, though no client can be sent them.
    fn look_at_window(&mut self, start: &[u8]) -> io::Result<()> {
        if let (Stream::Brotli(_), Some(&first)) = (&self.stream, start.first()) {
            let window =
                brotli_window(first).ok_or_else(|| io::Error::other("a window of more than 16 MiB"))?;
            self.memory = TABLES + (1 << window);
        }
        Ok(())
    }

    /// How much may come of a piece: no more than its own ratio allows, or what earlier ones have left over could all come at
    /// once.
    fn room(&self, piece: u64) -> u64 {
        let borne = |taken: u64| ALWAYS_BORNE.saturating_add(taken.saturating_mul(self.limits.ratio));
        let left = borne(self.taken).min(self.limits.size).saturating_sub(self.made);
        left.min(borne(piece))
    }
}

/// The bits of a stream's window by its first byte (RFC 7932 §9.1); `None` for the mark of a larger one.
fn brotli_window(first: u8) -> Option<u32> {
    let bits = |from: u32| u32::from(first >> from & 0b111);
    match (first & 1, bits(1), bits(4)) {
        (0, ..) => Some(16),
        (_, 0, 0) => Some(17),
        (_, 0, 1) => None,
        (_, 0, more) => Some(8 + more),
        (_, more, _) => Some(17 + more),
    }
}

impl Stream {
    fn sink(&mut self) -> &mut Sink {
        match self {
            Self::Gzip(stream) => stream.get_mut(),
            Self::Brotli(stream) => stream.get_mut(),
            Self::Zstd(stream) => stream.writer_mut(),
            Self::Deflate(stream) => &mut stream.sink,
        }
    }

    fn put(&mut self, piece: &[u8], end: bool) -> io::Result<()> {
        match self {
            Self::Gzip(stream) => {
                stream.write_all(piece)?;
                if end { stream.try_finish() } else { stream.flush() }
            }
            Self::Brotli(stream) => {
                stream.write_all(piece)?;
                if end { stream.close() } else { stream.flush() }
            }
            Self::Zstd(stream) => {
                stream.write_all(piece)?;
                if end { stream.finish() } else { stream.flush() }
            }
            Self::Deflate(stream) => {
                stream.decode(piece)?;
                if end { stream.finish() } else { Ok(()) }
            }
        }
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() > self.room {
            self.is_over = true;
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.room -= bytes.len();
        self.bytes.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { size: 64 << 20, ratio: 100 };

    fn coded(coded: Coded, plain: &[u8]) -> Vec<u8> {
        match coded {
            Coded::Gzip => {
                let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
                writer.write_all(plain).unwrap();
                writer.finish().unwrap()
            }
            Coded::Br => {
                let mut writer = brotli::CompressorWriter::new(Vec::new(), 4096, 5, 22);
                writer.write_all(plain).unwrap();
                writer.into_inner()
            }
            Coded::Zstd => zstd::stream::encode_all(plain, 3).unwrap(),
            Coded::Deflate => {
                let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
                writer.write_all(plain).unwrap();
                writer.finish().unwrap()
            }
        }
    }

    fn decode(decoder: &mut Decoder, coded: &[u8], size: usize) -> Result<Vec<u8>, Undecodable> {
        let mut plain = Vec::new();
        for piece in coded.chunks(size) {
            plain.extend(decoder.decode(piece, false)?);
        }
        plain.extend(decoder.decode(b"", true)?);
        Ok(plain)
    }

    fn text() -> Vec<u8> {
        (0..5000)
            .flat_map(|number: u32| format!("line {}\n", number.wrapping_mul(7919)).into_bytes())
            .collect()
    }

    #[test]
    fn whole_bodies_come_out_whole_however_they_are_cut() {
        for coding in Coded::ALL {
            for size in [1, 7, 1000, 1 << 20] {
                let mut decoder = Decoder::new(coding, LIMITS).unwrap();
                assert_eq!(
                    decode(&mut decoder, &coded(coding, &text()), size).unwrap(),
                    text(),
                    "{coding:?}"
                );
            }
        }
        let mut raw = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::default());
        raw.write_all(&text()).unwrap();
        let mut decoder = Decoder::new(Coded::Deflate, LIMITS).unwrap();
        assert_eq!(decode(&mut decoder, &raw.finish().unwrap(), 100).unwrap(), text());
    }

    #[test]
    fn a_decoder_is_counted_at_its_window_and_none_has_more_than_the_coding_knows() {
        for (window, large) in [(16, false), (10, false), (17, false), (22, false), (24, false), (26, true)] {
            let params = brotli::enc::BrotliEncoderParams {
                lgwin: window,
                large_window: large,
                quality: 5,
                ..Default::default()
            };
            let mut writer = brotli::CompressorWriter::with_params(Vec::new(), 4096, &params);
            writer.write_all(&text()).unwrap();
            let coded = writer.into_inner();
            let mut decoder = Decoder::new(Coded::Br, LIMITS).unwrap();
            assert_eq!(decoder.memory(), Coded::Br.most_memory());
            if large {
                assert!(matches!(decode(&mut decoder, &coded, 100), Err(Undecodable::Broken(_))));
            } else {
                assert_eq!(decode(&mut decoder, &coded, 100).unwrap(), text());
                assert!(
                    decoder.memory() >= TABLES + (1 << window) && decoder.memory() <= TABLES + (2 << window)
                );
            }
        }
    }

    #[test]
    fn several_members_are_one_body() {
        for coding in [Coded::Gzip, Coded::Zstd] {
            let twice = [coded(coding, b"one "), coded(coding, b"two")].concat();
            for size in [1, 100] {
                let mut decoder = Decoder::new(coding, LIMITS).unwrap();
                assert_eq!(decode(&mut decoder, &twice, size).unwrap(), b"one two", "{coding:?}");
            }
        }
    }

    #[test]
    fn what_is_ready_comes_at_once() {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        writer.write_all(b"data: now\n\n").unwrap();
        writer.flush().unwrap();
        let mut decoder = Decoder::new(Coded::Gzip, LIMITS).unwrap();
        assert_eq!(decoder.decode(writer.get_ref(), false).unwrap(), b"data: now\n\n");
    }

    #[test]
    fn half_a_body_and_no_body_of_that_kind_are_failures() {
        for coding in Coded::ALL {
            let whole = coded(coding, &text());
            let half = decode(&mut Decoder::new(coding, LIMITS).unwrap(), &whole[..whole.len() / 2], 100);
            assert!(matches!(half, Err(Undecodable::Broken(_))), "{coding:?}");
            let all_but_one =
                decode(&mut Decoder::new(coding, LIMITS).unwrap(), &whole[..whole.len() - 1], 100);
            assert!(matches!(all_but_one, Err(Undecodable::Broken(_))), "{coding:?}");
            let noise = decode(&mut Decoder::new(coding, LIMITS).unwrap(), &[0xff; 600], 600);
            assert!(matches!(noise, Err(Undecodable::Broken(_))), "{coding:?}");
            assert!(Decoder::new(coding, LIMITS).unwrap().decode(b"", true).unwrap().is_empty());
        }
    }

    #[test]
    fn a_bomb_makes_no_more_than_it_may() {
        for coding in Coded::ALL {
            let bomb = coded(coding, &vec![0; 64 << 20]);
            let mut decoder = Decoder::new(coding, LIMITS).unwrap();
            let mut made = 0;
            let exploded = bomb.chunks(16 * 1024).try_for_each(|piece| {
                let plain = decoder.decode(piece, false)?;
                assert!(plain.len() as u64 <= ALWAYS_BORNE + 16 * 1024 * LIMITS.ratio);
                made += plain.len() as u64;
                Ok::<_, Undecodable>(())
            });
            assert!(matches!(exploded, Err(Undecodable::TooLong)), "{coding:?} made {made} bytes");
            assert!(made <= ALWAYS_BORNE + bomb.len() as u64 * LIMITS.ratio);
        }
    }

    #[test]
    fn the_size_bounds_what_is_no_bomb_too() {
        let limits = Limits { size: 10_000, ratio: 100 };
        for coding in Coded::ALL {
            let mut decoder = Decoder::new(coding, limits).unwrap();
            let ended = decode(&mut decoder, &coded(coding, &text()), 100);
            assert!(matches!(ended, Err(Undecodable::TooLong)), "{coding:?}");
        }
    }

    #[test]
    fn a_window_that_is_larger_than_clients_bear_is_refused() {
        let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
        encoder.window_log(27).unwrap();
        encoder.include_contentsize(false).unwrap();
        encoder.write_all(&text()).unwrap();
        let wide = encoder.finish().unwrap();
        let mut decoder = Decoder::new(Coded::Zstd, LIMITS).unwrap();
        assert!(matches!(decode(&mut decoder, &wide, 1000), Err(Undecodable::Broken(_))));
    }

    #[test]
    fn names_are_known_in_any_case() {
        assert_eq!(Coded::named(b"GZIP"), Some(Coded::Gzip));
        assert_eq!(Coded::named(b"x-gzip"), Some(Coded::Gzip));
        assert_eq!(Coded::named(b"identity"), None);
        assert_eq!(Coded::named(b"gzip, br"), None);
    }
}
