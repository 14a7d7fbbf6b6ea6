use std::any::Any;
use std::fs::File;
use std::io::IoSliceMut;
use std::sync::{Arc, Weak};

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use pingora_cache::storage::HandleHit;
use pingora_cache::trace::SpanHandle;
use pingora_cache::{CacheKey, Storage};
use pingora_core::{Error, ErrorType, Result};
use rustix::io::{ReadWriteFlags, preadv2};

use super::block_file::{checked_block, read_block};
use super::format::{BLOCK, Layout};
use super::shelf::Shelf;
use super::workers::Workers;

/// A body that is read from its file, block by block, as the client takes it.
#[derive(Debug)]
pub(in crate::cache) struct LongBody {
    file: Arc<File>,
    layout: Layout,
    /// The first block, which has been looked at already.
    first: Bytes,
    /// What is read next, and where that ends.
    at: u64,
    end: u64,
    name: u128,
    shelf: Weak<Shelf>,
    workers: Arc<Workers>,
}

impl LongBody {
    pub(super) fn new(
        file: File,
        layout: Layout,
        first: Bytes,
        name: u128,
        shelf: Weak<Shelf>,
        workers: Arc<Workers>,
    ) -> Self {
        Self { file: Arc::new(file), first, at: 0, end: layout.body, layout, name, shelf, workers }
    }

    /// Which body it is.
    pub(in crate::cache) fn id(&self) -> u64 {
        self.layout.id
    }

    /// A block as it was written; `None` when it cannot be had.
    async fn block(&self, index: u64) -> Option<Bytes> {
        if index == 0 {
            return Some(self.first.clone());
        }
        if let Some(block) = self.block_in_memory(index) {
            return Some(block);
        }
        let (file, layout) = (self.file.clone(), self.layout);
        let (shelf, name) = (self.shelf.clone(), self.name);
        let read = move || match (read_block(&file, layout, index), shelf.upgrade()) {
            (Ok(None), Some(shelf)) => shelf.spoil(name, layout.id, None).map(|()| None),
            (Err(error), Some(shelf)) => shelf.spoil(name, layout.id, Some(error)).map(|()| None),
            (block, _) => block,
        };
        self.workers.run_soon(read).await.flatten()
    }

    /// The same, if the kernel has it in memory.
    fn block_in_memory(&self, index: u64) -> Option<Bytes> {
        let place = self.layout.block(index)?;
        let mut bytes = BytesMut::zeroed((place.end - place.start) as usize);
        let mut buffers = [IoSliceMut::new(&mut bytes)];
        let count = preadv2(&self.file, &mut buffers, place.start, ReadWriteFlags::NOWAIT).ok()?;
        checked_block(self.layout, index, bytes, count)
    }
}

#[async_trait]
impl HandleHit for LongBody {
    async fn read_body(&mut self) -> Result<Option<Bytes>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let (index, offset) = (self.at / BLOCK as u64, (self.at % BLOCK as u64) as usize);
        let Some(block) = self.block(index).await else {
            return Error::e_explain(ErrorType::InternalError, "a stored body cannot be read to its end");
        };
        let length = (self.end - self.at).min((block.len() - offset) as u64);
        self.at += length;
        Ok(Some(block.slice(offset..offset + length as usize)))
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
        let end = end.map_or(self.layout.body, |end| self.layout.body.min(end as u64));
        if start as u64 >= end {
            return Error::e_explain(ErrorType::InternalError, "a range beyond the stored body");
        }
        (self.at, self.end) = (start as u64, end);
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        self
    }

    fn as_any_mut(&mut self) -> &mut (dyn Any + Send + Sync) {
        self
    }
}
