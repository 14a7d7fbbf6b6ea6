//! The rules that hold for whatever a client sends, for the fuzz targets.

use super::body::{Body, Framing};
use super::head::{HeadLimits, HeadScan};

const LIMITS: HeadLimits = HeadLimits { size: 4096, line: 1024, count: 32 };

/// An HTTP/1 header: what passes whole also passes in two pieces, with the same end and the same framing.
pub fn head(data: &[u8]) {
    let (cut, bytes) = split(data);
    let whole = HeadScan::default().advance(bytes, &LIMITS);
    let mut scan = HeadScan::default();
    let in_pieces = match scan.advance(&bytes[..cut], &LIMITS) {
        Ok(None) => scan.advance(bytes, &LIMITS),
        decided => decided,
    };
    match (&whole, &in_pieces) {
        (Ok(Some(whole)), Ok(Some(pieces))) => assert_eq!(whole, pieces),
        (Ok(None), Ok(None)) | (Err(_), Err(_)) => {}
        (whole, pieces) => panic!("{whole:?} whole, {pieces:?} in pieces"),
    }
    if let Ok(Some(head)) = whole {
        let text = &bytes[..head.length];
        assert!(text.ends_with(b"\r\n\r\n"));
        assert!(!text[..text.len() - 4].windows(4).any(|window| window == b"\r\n\r\n"));
        assert!(text.iter().all(|&byte| byte != 0));
    }
}

/// A chunked body: its end is the same however it is cut into pieces, and nothing beyond it is taken.
pub fn body(data: &[u8]) {
    let (cut, bytes) = split(data);
    let mut whole = Body::from(Framing::Chunked);
    let taken_whole = whole.take(bytes);
    let mut pieces = Body::from(Framing::Chunked);
    let taken_pieces = pieces.take(&bytes[..cut]).and_then(|first| {
        // What was not taken belongs to the next request.
        let rest = if first < cut { &[][..] } else { &bytes[cut..] };
        Ok(first + pieces.take(rest)?)
    });
    match (taken_whole, taken_pieces) {
        (Ok(whole_count), Ok(pieces_count)) => {
            assert_eq!(whole_count, pieces_count);
            assert_eq!(whole.is_done(), pieces.is_done());
            assert!(whole.is_done() || whole_count == bytes.len());
        }
        (Err(_), Err(_)) => {}
        (whole, pieces) => panic!("{whole:?} whole, {pieces:?} in pieces"),
    }
}

/// Where to cut, and what: the first byte tells.
fn split(data: &[u8]) -> (usize, &[u8]) {
    let Some((&first, bytes)) = data.split_first() else { return (0, data) };
    (usize::from(first).min(bytes.len()), bytes)
}
