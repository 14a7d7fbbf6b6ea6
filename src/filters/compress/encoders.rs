use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;

use crate::filters::coding::Coding;

use super::Levels;
use super::encoder::{Encoder, Flush};

/// The encoders of a filter: so many at once, and a few that wait to be used again, since setting one up costs more than a
/// short answer does.
#[derive(Default)]
pub(super) struct Encoders {
    active: AtomicUsize,
    gzip: Mutex<Vec<Encoder>>,
    zstd: Mutex<Vec<Encoder>>,
}

/// So many of a coding wait.
const KEPT: usize = 16;

/// An encoder while a body is coded with it.
pub(super) struct Borrowed {
    encoder: Option<Encoder>,
    coding: Coding,
    encoders: Arc<Encoders>,
}

impl Encoders {
    /// An encoder, unless `most` are in use.
    pub(super) fn borrow(
        self: &Arc<Self>,
        coding: Coding,
        levels: Levels,
        most: usize,
    ) -> io::Result<Option<Borrowed>> {
        if self.active.fetch_add(1, Ordering::Relaxed) >= most {
            self.active.fetch_sub(1, Ordering::Relaxed);
            return Ok(None);
        }
        // From here on it is counted, and given back by being dropped.
        let mut borrowed = Borrowed { encoder: None, coding, encoders: Arc::clone(self) };
        let kept = self.kept(coding).and_then(|kept| kept.lock().pop());
        let renewed = kept.and_then(|mut encoder| encoder.renew(levels).then_some(encoder));
        borrowed.encoder = Some(renewed.map_or_else(|| Encoder::new(coding, levels), Ok)?);
        Ok(Some(borrowed))
    }

    fn kept(&self, coding: Coding) -> Option<&Mutex<Vec<Encoder>>> {
        match coding {
            Coding::Gzip => Some(&self.gzip),
            Coding::Zstd => Some(&self.zstd),
            // Its encoders cannot be used again.
            Coding::Br => None,
        }
    }
}

impl Borrowed {
    pub(super) fn code(&mut self, piece: &[u8], flush: Flush) -> io::Result<Vec<u8>> {
        match &mut self.encoder {
            Some(encoder) => encoder.code(piece, flush),
            None => Err(io::Error::other("no encoder")),
        }
    }
}

impl Drop for Borrowed {
    fn drop(&mut self) {
        self.encoders.active.fetch_sub(1, Ordering::Relaxed);
        if let (Some(encoder), Some(kept)) = (self.encoder.take(), self.encoders.kept(self.coding)) {
            let mut kept = kept.lock();
            if kept.len() < KEPT {
                kept.push(encoder);
            }
        }
    }
}

impl std::fmt::Debug for Encoders {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Encoders(active: {})", self.active.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_are_no_more_than_there_may_be_and_they_are_used_again() {
        let encoders = Arc::new(Encoders::default());
        let borrow = |coding| encoders.borrow(coding, Levels::default(), 2).unwrap();
        let first = borrow(Coding::Gzip).unwrap();
        let second = borrow(Coding::Br).unwrap();
        assert!(borrow(Coding::Zstd).is_none());
        drop((first, second));
        assert_eq!(encoders.gzip.lock().len(), 1);
        let mut again = borrow(Coding::Gzip).unwrap();
        assert!(encoders.gzip.lock().is_empty());
        assert!(!again.code(b"x", Flush::End).unwrap().is_empty());
        let many: Vec<_> =
            (0..40).map(|_| encoders.borrow(Coding::Zstd, Levels::FAST, 100).unwrap().unwrap()).collect();
        drop(many);
        assert_eq!(encoders.zstd.lock().len(), KEPT);
    }
}
