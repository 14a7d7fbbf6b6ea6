use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;

use crate::filters::own;
use crate::hooks::{FilterCx, HookError};

use super::OF_THESE_BYTES;

/// Makes another coding of a body, piece by piece.
pub(in crate::filters) trait Recoder: Send + 'static {
    /// What comes of a piece; `end` is the last, after which nothing is held that others may use.
    fn recode(&mut self, piece: &[u8], end: bool) -> Result<Vec<u8>, HookError>;
}

/// The recoder of an answer, for as long as its request lasts.
struct Running<R>(Arc<Mutex<R>>);

impl<R> Clone for Running<R> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

/// Has the body of an answer pass through a filter's recoder.
pub(in crate::filters) fn begin<R: Recoder>(filter: &impl Sized, recoder: R, cx: &mut FilterCx<'_>) {
    own::keep(filter, Running(Arc::new(Mutex::new(recoder))), cx);
}

/// Before the head of an answer: it may stand in the place of one that was to be recoded.
pub(in crate::filters) fn forget<R: Recoder>(filter: &impl Sized, cx: &mut FilterCx<'_>) {
    own::take::<Running<R>>(filter, cx);
}

/// Recodes a piece of the body, if that is to be.
pub(in crate::filters) fn pass<R: Recoder>(
    filter: &impl Sized,
    body: &mut Option<Bytes>,
    end: bool,
    cx: &FilterCx<'_>,
) -> Result<(), HookError> {
    let Some(Running(recoder)) = own::kept::<Running<R>>(filter, cx) else { return Ok(()) };
    let piece = body.take().unwrap_or_default();
    if !piece.is_empty() || end {
        *body = Some(recoder.lock().recode(&piece, end)?.into());
    }
    Ok(())
}

/// The end of a body that trailers follow, which may tell of the bytes that came as well.
pub(in crate::filters) fn finish<R: Recoder>(
    filter: &impl Sized,
    trailers: &mut HeaderMap,
    cx: &FilterCx<'_>,
) -> Result<Option<Bytes>, HookError> {
    if own::kept::<Running<R>>(filter, cx).is_none() {
        return Ok(None);
    }
    for name in &OF_THESE_BYTES {
        trailers.remove(name);
    }
    let mut last = None;
    pass::<R>(filter, &mut last, true, cx)?;
    Ok(last.filter(|last| !last.is_empty()))
}
