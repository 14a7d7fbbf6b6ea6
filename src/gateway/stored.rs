use std::io;

use async_trait::async_trait;
use bytes::Bytes;

use crate::cache::Found;
use crate::hooks::{Body, BodySource};

/// The body of a stored answer, whose pieces are handed out as they are kept.
struct StoredBody {
    found: Found,
    next: usize,
    left: usize,
}

/// The body of a stored answer.
pub(super) fn body_of(found: Found) -> Body {
    match (found.piece(0), found.piece(1)) {
        (None, _) => Body::default(),
        (Some(only), None) => Body::Whole(only.clone()),
        _ => Body::stream(StoredBody { left: found.length(), found, next: 0 }),
    }
}

#[async_trait]
impl BodySource for StoredBody {
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let piece = self.found.piece(self.next).cloned();
        self.next += 1;
        self.left -= piece.as_ref().map_or(0, Bytes::len);
        Ok(piece)
    }

    fn left(&self) -> Option<u64> {
        Some(self.left as u64)
    }
}
