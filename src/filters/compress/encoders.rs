use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use crate::filters::coding::{Budget, Coding, Share};
use crate::types::ClientKey;

use super::Levels;
use super::encoder::{Encoder, Flush};

/// The encoders of a filter: so many at once, and a few that wait to be used again, since setting one up costs more than a
/// short answer does.
#[derive(Default)]
pub(super) struct Encoders {
    budget: Arc<Budget>,
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
    _share: Share,
}

impl Encoders {
    /// An encoder for an answer to `client`, unless `most` are in use or it has its share of them.
    pub(super) fn borrow(
        self: &Arc<Self>,
        coding: Coding,
        levels: Levels,
        client: ClientKey,
        most: u64,
    ) -> io::Result<Option<Borrowed>> {
        let Some(share) = self.budget.take(client, 1, most) else { return Ok(None) };
        let kept = self.kept(coding).and_then(|kept| kept.lock().pop());
        let renewed = kept.and_then(|mut encoder| encoder.renew(levels).then_some(encoder));
        let encoder = Some(renewed.map_or_else(|| Encoder::new(coding, levels), Ok)?);
        Ok(Some(Borrowed { encoder, coding, encoders: Arc::clone(self), _share: share }))
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
        f.debug_struct("Encoders").field("budget", &self.budget).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn borrow(encoders: &Arc<Encoders>, coding: Coding, client: u8, most: u64) -> Option<Borrowed> {
        let client = crate::types::client_key([10, 0, 0, client].into(), 64);
        encoders.borrow(coding, Levels::default(), client, most).unwrap()
    }

    #[test]
    fn there_are_no_more_than_there_may_be_and_they_are_used_again() {
        let encoders = Arc::new(Encoders::default());
        let first = borrow(&encoders, Coding::Gzip, 1, 2).unwrap();
        let second = borrow(&encoders, Coding::Br, 2, 2).unwrap();
        assert!(borrow(&encoders, Coding::Zstd, 3, 2).is_none());
        drop((first, second));
        assert_eq!(encoders.gzip.lock().len(), 1);
        let mut again = borrow(&encoders, Coding::Gzip, 1, 2).unwrap();
        assert!(encoders.gzip.lock().is_empty());
        assert!(!again.code(b"x", Flush::End).unwrap().is_empty());
        let many: Vec<_> = (0..40).map(|_| borrow(&encoders, Coding::Zstd, 1, 100).unwrap()).collect();
        drop(many);
        assert_eq!(encoders.zstd.lock().len(), KEPT);
    }

    #[test]
    fn one_client_does_not_get_them_all() {
        let encoders = Arc::new(Encoders::default());
        let many: Vec<_> = (0..100).map_while(|_| borrow(&encoders, Coding::Gzip, 1, 100)).collect();
        assert_eq!(many.len(), 50);
        assert!(borrow(&encoders, Coding::Gzip, 2, 100).is_some());
    }
}
