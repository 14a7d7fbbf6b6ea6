use std::io::{self, Write};

use brotli::CompressorWriter;
use flate2::{Compress, Compression, FlushCompress, Status};
use zstd::stream::raw::{CParameter, InBuffer, Operation, OutBuffer};

use crate::filters::coding::Coding;

use super::Levels;

/// Codes a body piece by piece. Its memory is bounded by its window, which is smaller than the codings allow: 32 KiB for
/// gzip, 256 KiB for Brotli and 128 KiB for Zstandard.
pub(super) enum Encoder {
    Gzip(Compress),
    /// Until it has come to its end.
    Brotli(Option<Box<CompressorWriter<Vec<u8>>>>),
    Zstd(zstd::stream::raw::Encoder<'static>),
}

/// What is to come out after a piece.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flush {
    /// Whatever is ready; the rest waits for more.
    Gather,
    /// All that was put in.
    Through,
    /// The end.
    End,
}

const GZIP_WINDOW: u8 = 15;
const BROTLI_WINDOW: u32 = 18;
const ZSTD_WINDOW: u32 = 17;
/// By so much output grows.
const STEP: usize = 8 * 1024;

impl Encoder {
    pub(super) fn new(coding: Coding, levels: Levels) -> io::Result<Self> {
        Ok(match coding {
            Coding::Gzip => Self::Gzip(Compress::new_gzip(Compression::new(levels.gzip), GZIP_WINDOW)),
            Coding::Br => {
                let writer = CompressorWriter::new(Vec::new(), STEP, levels.br, BROTLI_WINDOW);
                Self::Brotli(Some(Box::new(writer)))
            }
            Coding::Zstd => {
                let mut encoder = zstd::stream::raw::Encoder::new(zstd_level(levels))?;
                encoder.set_parameter(CParameter::WindowLog(ZSTD_WINDOW))?;
                Self::Zstd(encoder)
            }
        })
    }

    /// Makes it ready for another body; false for one that cannot be used again.
    pub(super) fn renew(&mut self, levels: Levels) -> bool {
        match self {
            Self::Gzip(stream) => {
                stream.reset();
                stream.set_level(Compression::new(levels.gzip)).is_ok()
            }
            Self::Brotli(_) => false,
            Self::Zstd(encoder) => {
                let level = CParameter::CompressionLevel(zstd_level(levels));
                encoder.reinit().is_ok() && encoder.set_parameter(level).is_ok()
            }
        }
    }

    /// Puts a piece in, and takes out what there is by then.
    pub(super) fn code(&mut self, piece: &[u8], flush: Flush) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(stream) => deflate(stream, piece, flush),
            Self::Brotli(stream) => brotli(stream, piece, flush),
            Self::Zstd(encoder) => zstandard(encoder, piece, flush),
        }
    }
}

fn zstd_level(levels: Levels) -> i32 {
    // Checked to be at most 19.
    i32::try_from(levels.zstd).unwrap_or(i32::MAX)
}

fn deflate(stream: &mut Compress, mut piece: &[u8], flush: Flush) -> io::Result<Vec<u8>> {
    let mode = match flush {
        Flush::Gather => FlushCompress::None,
        Flush::Through => FlushCompress::Sync,
        Flush::End => FlushCompress::Finish,
    };
    let mut out = Vec::new();
    loop {
        out.reserve(STEP);
        let before = stream.total_in();
        let status = stream.compress_vec(piece, &mut out, mode)?;
        // What was taken is a part of the piece.
        piece = &piece[usize::try_from(stream.total_in() - before).unwrap_or(piece.len())..];
        let is_done = match flush {
            Flush::End => status == Status::StreamEnd,
            // Room that is left says that nothing more is ready.
            Flush::Gather | Flush::Through => piece.is_empty() && out.len() < out.capacity(),
        };
        if is_done {
            return Ok(out);
        }
    }
}

fn brotli(
    stream: &mut Option<Box<CompressorWriter<Vec<u8>>>>,
    piece: &[u8],
    flush: Flush,
) -> io::Result<Vec<u8>> {
    let Some(mut writer) = stream.take() else { return Err(io::Error::other("after the end")) };
    writer.write_all(piece)?;
    if flush == Flush::End {
        return Ok(writer.into_inner());
    }
    if flush == Flush::Through {
        writer.flush()?;
    }
    let out = std::mem::take(writer.get_mut());
    *stream = Some(writer);
    Ok(out)
}

fn zstandard(
    encoder: &mut zstd::stream::raw::Encoder<'_>,
    piece: &[u8],
    flush: Flush,
) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut input = InBuffer::around(piece);
    while input.pos() < piece.len() {
        grow(&mut out, |room| encoder.run(&mut input, room))?;
    }
    let is_over = |left: usize| left == 0;
    match flush {
        Flush::Gather => {}
        Flush::Through => while !is_over(grow(&mut out, |room| encoder.flush(room))?) {},
        Flush::End => while !is_over(grow(&mut out, |room| encoder.finish(room, true))?) {},
    }
    Ok(out)
}

/// Has a step write behind what there is.
fn grow(
    out: &mut Vec<u8>,
    step: impl FnOnce(&mut OutBuffer<'_, Vec<u8>>) -> io::Result<usize>,
) -> io::Result<usize> {
    out.reserve(STEP);
    let position = out.len();
    step(&mut OutBuffer::around_pos(out, position))
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use proptest::prelude::*;

    use super::*;

    const ALL: [Coding; 3] = [Coding::Zstd, Coding::Br, Coding::Gzip];

    /// What a client that has got so much so far can show.
    fn readable(coding: Coding, coded: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        let mut piece = [0; 4096];
        let mut reader: Box<dyn Read + '_> = match coding {
            Coding::Gzip => Box::new(flate2::read::GzDecoder::new(coded)),
            Coding::Br => Box::new(brotli::Decompressor::new(coded, 4096)),
            Coding::Zstd => Box::new(zstd::stream::read::Decoder::new(coded).unwrap()),
        };
        while let Ok(read @ 1..) = reader.read(&mut piece) {
            plain.extend_from_slice(&piece[..read]);
        }
        plain
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut random = crate::types::Random::with_seed(7);
        (0..length).map(|_| random.u8(..)).collect()
    }

    #[test]
    fn what_is_put_through_can_be_read_at_once() {
        for coding in ALL {
            let mut encoder = Encoder::new(coding, Levels::default()).unwrap();
            let mut coded = Vec::new();
            let mut plain = Vec::new();
            for event in ["data: one\n\n", "data: two\n\n", "data: three\n\n"] {
                coded.extend(encoder.code(event.as_bytes(), Flush::Through).unwrap());
                plain.extend_from_slice(event.as_bytes());
                assert_eq!(readable(coding, &coded), plain, "{coding:?}");
            }
            coded.extend(encoder.code(b"", Flush::End).unwrap());
            assert_eq!(readable(coding, &coded), plain, "{coding:?}");
        }
    }

    #[test]
    fn text_becomes_shorter_and_noise_hardly_longer() {
        for coding in ALL {
            for levels in [Levels::default(), Levels::FAST] {
                let mut encoder = Encoder::new(coding, levels).unwrap();
                let text = b"<p>The same again, and again.</p>\n".repeat(2000);
                let short = encoder.code(&text, Flush::End).unwrap();
                assert!(short.len() * 10 < text.len(), "{coding:?}: {} bytes", short.len());
                let mut encoder = Encoder::new(coding, levels).unwrap();
                let noise = noise(200_000);
                let long = encoder.code(&noise, Flush::End).unwrap();
                assert!(long.len() < noise.len() + 1024, "{coding:?}: {} bytes", long.len());
                assert_eq!(readable(coding, &long), noise, "{coding:?}");
            }
        }
    }

    #[test]
    fn an_encoder_that_is_renewed_knows_nothing_of_what_was_before() {
        for coding in [Coding::Zstd, Coding::Gzip] {
            let mut used = Encoder::new(coding, Levels::default()).unwrap();
            used.code(b"half of a secret", Flush::Gather).unwrap();
            assert!(used.renew(Levels::FAST));
            let again = used.code(b"half of a secret", Flush::End).unwrap();
            let fresh =
                Encoder::new(coding, Levels::FAST).unwrap().code(b"half of a secret", Flush::End).unwrap();
            assert_eq!(again, fresh, "{coding:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn nothing_is_lost_however_it_comes(
            pieces in prop::collection::vec((0_usize..40_000, any::<bool>(), any::<bool>()), 0..6),
        ) {
            for coding in ALL {
                let mut encoder = Encoder::new(coding, Levels::default()).unwrap();
                let (mut coded, mut plain) = (Vec::new(), Vec::new());
                for &(length, is_noise, is_through) in &pieces {
                    let piece = if is_noise { noise(length) } else { vec![b'x'; length] };
                    let flush = if is_through { Flush::Through } else { Flush::Gather };
                    coded.extend(encoder.code(&piece, flush).unwrap());
                    plain.extend(piece);
                }
                coded.extend(encoder.code(b"", Flush::End).unwrap());
                prop_assert_eq!(readable(coding, &coded), plain);
            }
        }
    }
}
