use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

/// Where the copy of a request is whose body is still to come, until it is sent or dropped.
pub(super) type Slot = Arc<Mutex<Option<Copy>>>;

/// A copy of a request, as far as there is one.
#[derive(Debug)]
pub(super) struct Copy {
    head: Request<()>,
    body: Vec<u8>,
    place: OwnedSemaphorePermit,
}

/// There would be more of it than there may.
#[derive(Debug)]
pub(super) struct TooLarge;

impl Copy {
    pub(super) fn new(head: Request<()>, place: OwnedSemaphorePermit) -> Self {
        Self { head, body: Vec::new(), place }
    }

    pub(super) fn into_slot(self) -> Slot {
        Arc::new(Mutex::new(Some(self)))
    }

    /// The body comes from its beginning again.
    pub(super) fn begin_anew(&mut self) {
        self.body.clear();
    }

    /// The next piece of the body. It is copied: a slice would keep the whole buffer that it was read into.
    pub(super) fn add(&mut self, piece: &[u8], most: usize) -> Result<(), TooLarge> {
        if self.body.len() + piece.len() > most {
            return Err(TooLarge);
        }
        self.body.extend_from_slice(piece);
        Ok(())
    }

    pub(super) fn into_parts(self) -> (Request<Bytes>, OwnedSemaphorePermit) {
        let Self { head, body, place } = self;
        (head.map(|()| Bytes::from(body)), place)
    }
}
