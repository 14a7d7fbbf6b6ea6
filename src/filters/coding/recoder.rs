use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::HeaderMap;
use parking_lot::Mutex;

use crate::filters::own;
use crate::hooks::{Filter, FilterCx, Flow, HookError, Needs, RequestView, ResponseView};

use super::OF_THESE_BYTES;

/// A filter that answers pass to become coded in another way. What it does besides is the same for all of them.
pub(in crate::filters) trait Recodes: Send + Sync + 'static {
    type Recoder: Recoder;

    /// Looks at the request, as [`Filter::on_request`] does.
    fn ask(&self, request: &mut RequestView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError>;

    /// Makes the head that of what the answer becomes; returned is what its body is to pass through, if it is.
    fn answer(
        &self,
        response: &mut ResponseView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Option<Self::Recoder>, HookError>;

    /// As [`Filter::describe`].
    fn description(&self) -> &str;
}

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

#[async_trait]
impl<F: Recodes> Filter for F {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        self.ask(request, cx)?;
        Ok(Flow::Continue)
    }

    fn on_response(&self, response: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        // An error may stand in the place of an answer that was to be recoded.
        own::take::<Running<F::Recoder>>(self, cx);
        if let Some(recoder) = self.answer(response, cx)? {
            own::keep(self, Running(Arc::new(Mutex::new(recoder))), cx);
        }
        Ok(())
    }

    fn on_response_body(
        &self,
        body: &mut Option<Bytes>,
        end: bool,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        let Some(Running(recoder)) = own::kept::<Running<F::Recoder>>(self, cx) else { return Ok(()) };
        let piece = body.take().unwrap_or_default();
        if !piece.is_empty() || end {
            *body = Some(recoder.lock().recode(&piece, end)?.into());
        }
        Ok(())
    }

    /// What tells of the bytes that came does not follow others.
    fn on_response_trailers(
        &self,
        trailers: &mut HeaderMap,
        cx: &mut FilterCx<'_>,
    ) -> Result<Option<Bytes>, HookError> {
        if own::kept::<Running<F::Recoder>>(self, cx).is_none() {
            return Ok(None);
        }
        for name in &OF_THESE_BYTES {
            trailers.remove(name);
        }
        let mut last = None;
        self.on_response_body(&mut last, true, cx)?;
        Ok(last.filter(|last| !last.is_empty()))
    }

    fn needs(&self) -> Needs {
        Needs::BODIES
    }

    fn describe(&self) -> String {
        self.description().to_owned()
    }
}
