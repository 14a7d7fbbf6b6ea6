use std::sync::Arc;

use bytes::Bytes;
use http::Request;
use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

use crate::hooks::FilterCx;

/// The copies of a request whose body is still to come, by filter.
#[derive(Clone, Debug, Default)]
pub(super) struct Copies(Vec<(usize, Arc<Mutex<Option<Copy>>>)>);

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

impl Copies {
    pub(super) fn add(&mut self, filter: usize, copy: Copy) {
        self.0.push((filter, Arc::new(Mutex::new(Some(copy)))));
    }

    /// Where the copy of a filter is, until it is sent or dropped.
    pub(super) fn of(filter: usize, cx: &FilterCx<'_>) -> Option<Arc<Mutex<Option<Copy>>>> {
        let Self(all) = cx.extensions().get()?;
        all.iter().find(|(of, _)| *of == filter).map(|(_, copy)| copy.clone())
    }
}

impl Copy {
    pub(super) fn new(head: Request<()>, place: OwnedSemaphorePermit) -> Self {
        Self { head, body: Vec::new(), place }
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
