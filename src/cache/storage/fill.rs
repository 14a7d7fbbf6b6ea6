use std::mem;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};
use pingora_cache::key::CacheHashKey;
use pingora_cache::predictor::CacheablePredictor;
use pingora_cache::storage::{HandleMiss, MissFinishType};
use pingora_cache::{CacheKey, NoCacheReason};
use pingora_core::Result;

use super::PREDICTOR;
use crate::cache::disk::{LongFill, Ticket};
use crate::cache::entry::{Body, Draft};
use crate::cache::store::{Attachment, LARGEST_PIECE, Share, place};

/// An answer on its way into a cache.
pub(super) struct Fill {
    attachment: Attachment,
    key: CacheKey,
    draft: Draft,
    /// The length that the head tells.
    promised: Option<usize>,
    length: usize,
    /// Its place on the disk, if there is one for it.
    ticket: Option<Ticket>,
    body: Filling,
    /// What it holds in memory.
    share: Share,
}

/// What becomes of what has come.
enum Filling {
    Held(Pieces),
    /// It is longer than what is held in memory.
    Long(LongFill),
    /// It is not stored.
    Dropped,
}

/// A body in memory, as far as it has come.
#[derive(Default)]
struct Pieces {
    whole: Vec<Bytes>,
    last: BytesMut,
}

/// What is stored is stored in pieces of this size. Those that come may be small, or hold on to large buffers.
const PIECE: usize = LARGEST_PIECE;
/// The same where nobody knows how much comes.
const SHORT_PIECE: usize = 16 * 1024;

impl Fill {
    /// Takes what is needed to store the answer, as far as its head tells that.
    pub(super) async fn begin(attachment: &Attachment, key: &CacheKey, draft: Draft) -> Self {
        let attachment = attachment.clone();
        let cache = &attachment.cache;
        let mut fill = Self {
            ticket: cache.disk.as_ref().and_then(|disk| disk.ticket(key)),
            share: Share::of(cache),
            attachment,
            key: key.clone(),
            promised: draft.promised(),
            draft,
            length: 0,
            body: Filling::Held(Pieces::default()),
        };
        let is_to_be_stored = fill.make_room().await;
        fill.attachment.is_to_be_stored.store(is_to_be_stored, Ordering::Relaxed);
        fill
    }

    /// Makes room for all that is to come; whether it is known that there is enough.
    async fn make_room(&mut self) -> bool {
        let Some(promised) = self.promised else { return false };
        if promised > self.attachment.cache.most_in_memory {
            self.lengthen().await;
            return matches!(self.body, Filling::Long(_));
        }
        if !self.share.reserve(promised) {
            self.body = Filling::Dropped;
            return false;
        }
        self.attachment.cache.store.memory.has_room(self.draft.weight(promised))
    }

    /// Whether what came may still be kept, for whoever asks later.
    fn is_due(&self) -> impl Fn() -> bool + Send + Sync + use<> {
        let (attachment, primary) = (self.attachment.clone(), self.key.primary_bin());
        let names = self.draft.names();
        move || attachment.is_due(primary, || names.clone())
    }

    /// What comes is longer than what is held in memory.
    async fn lengthen(&mut self) {
        self.share = Share::of(&self.attachment.cache);
        let held = mem::replace(&mut self.body, Filling::Dropped);
        let (Filling::Held(pieces), Some(ticket)) = (held, self.ticket.take()) else { return };
        let (answer, promised, is_due) = (self.draft.encode(), self.promised, self.is_due());
        let Some(fill) = LongFill::begin(ticket, answer, promised, is_due).await else { return };
        for piece in pieces.into_bytes() {
            if !fill.write(piece).await {
                return;
            }
        }
        self.body = Filling::Long(fill);
    }
}

impl Pieces {
    /// Adds what may be up to `left` bytes short of all that is to come, as far as that is known; false when there is no room
    /// for it.
    fn add(&mut self, mut data: &[u8], left: Option<usize>, share: &mut Share) -> bool {
        while !data.is_empty() {
            if self.last.capacity() == self.last.len() {
                self.seal();
                let left = left.unwrap_or(SHORT_PIECE);
                let length = left.max(data.len()).min(PIECE);
                if !share.grow(length) {
                    return false;
                }
                self.last = BytesMut::with_capacity(length);
            }
            let (now, later) = data.split_at(data.len().min(self.last.capacity() - self.last.len()));
            self.last.extend_from_slice(now);
            data = later;
        }
        true
    }

    fn seal(&mut self) {
        if !self.last.is_empty() {
            let last = mem::take(&mut self.last);
            let is_full = last.capacity() - last.len() <= last.len() / 8;
            self.whole.push(if is_full { last.freeze() } else { Bytes::copy_from_slice(&last) });
        }
    }

    fn into_bytes(mut self) -> Vec<Bytes> {
        self.seal();
        self.whole
    }
}

#[async_trait]
impl HandleMiss for Fill {
    async fn write_body(&mut self, data: Bytes, _: bool) -> Result<()> {
        if matches!(self.body, Filling::Dropped) {
            return Ok(());
        }
        if self.length + data.len() > self.attachment.cache.max_object {
            // An error would be told in the log of this process, and this is none.
            self.body = Filling::Dropped;
            self.share = Share::of(&self.attachment.cache);
            PREDICTOR.mark_uncacheable(&self.key, NoCacheReason::ResponseTooLarge);
            return Ok(());
        }
        let is_held = matches!(self.body, Filling::Held(_));
        if is_held && self.length + data.len() > self.attachment.cache.most_in_memory {
            self.lengthen().await;
        }
        let left = self.promised.map(|promised| promised.saturating_sub(self.length));
        self.length += data.len();
        let is_kept = match &mut self.body {
            Filling::Held(pieces) => pieces.add(&data, left, &mut self.share),
            Filling::Long(fill) => fill.write(data).await,
            Filling::Dropped => false,
        };
        if !is_kept {
            self.body = Filling::Dropped;
            self.share = Share::of(&self.attachment.cache);
        }
        Ok(())
    }

    async fn finish(mut self: Box<Self>) -> Result<MissFinishType> {
        let is_whole = self.promised.is_none_or(|promised| promised == self.length);
        let is_due = self.is_due();
        if !is_whole || !is_due() {
            return Ok(MissFinishType::Created(self.length));
        }
        let Self { attachment: Attachment { cache, .. }, key, draft, length, ticket, body, .. } = *self;
        match body {
            Filling::Held(pieces) => {
                let id = ticket.as_ref().map_or(0, |ticket| ticket.id);
                let body = Body { id, pieces: pieces.into_bytes().into(), length };
                let entry = Arc::new(draft.with_length(length).with_body(Arc::new(body)));
                cache.store.memory.insert_if_due(place(&key), entry.clone(), &is_due);
                if let Some(ticket) = ticket {
                    ticket.keep(entry, is_due);
                }
            }
            Filling::Long(fill) => {
                fill.finish(draft.with_length(length).encode()).await;
                // What was there before is out of date.
                cache.store.memory.remove(place(&key));
            }
            Filling::Dropped => {}
        }
        Ok(MissFinishType::Created(length))
    }
}
