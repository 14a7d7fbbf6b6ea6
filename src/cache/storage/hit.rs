use std::any::Any;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use pingora_cache::storage::HandleHit;
use pingora_cache::trace::SpanHandle;
use pingora_cache::{CacheKey, Storage};
use pingora_core::{Error, ErrorType, Result};

use crate::cache::entry::Body;

/// A stored body that is read.
#[derive(Debug)]
pub(super) struct Hit {
    body: Arc<Body>,
    piece: usize,
    /// Where in the piece.
    offset: usize,
    left: usize,
}

impl Hit {
    pub(super) fn new(body: Arc<Body>) -> Self {
        Self { piece: 0, offset: 0, left: body.length, body }
    }
}

#[async_trait]
impl HandleHit for Hit {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        let Some(piece) = self.body.pieces.get(self.piece).filter(|_| self.left > 0) else {
            return Ok(None);
        };
        let end = piece.len().min(self.offset.saturating_add(self.left));
        let bytes = piece.slice(self.offset..end);
        self.left -= bytes.len();
        self.piece += 1;
        self.offset = 0;
        Ok(Some(bytes))
    }

    async fn finish(
        self: Box<Self>,
        _: &'static (dyn Storage + Sync),
        _: &CacheKey,
        _: &SpanHandle,
    ) -> Result<()> {
        Ok(())
    }

    fn can_seek(&self) -> bool {
        true
    }

    fn seek(&mut self, start: usize, end: Option<usize>) -> Result<()> {
        let end = end.unwrap_or(self.body.length).min(self.body.length);
        if start >= end {
            return Error::e_explain(ErrorType::InternalError, "a range beyond the stored body");
        }
        let mut before = 0;
        let is_beyond = |piece: &Bytes| {
            before += piece.len();
            before > start
        };
        self.piece = self.body.pieces.iter().position(is_beyond).unwrap_or(0);
        self.offset = start - (before - self.body.pieces[self.piece].len());
        self.left = end - start;
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}
