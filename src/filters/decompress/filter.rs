use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderMap};
use http::{HeaderValue, Method, StatusCode};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::filters::coding::{asks_no_change, is_whole_answer, recode, vary_by_coding};
use crate::hooks::{
    BuildCx, BuildError, Filter, FilterCx, Flow, HookError, Needs, RequestView, ResponseView,
};
use crate::semantics::takes_coding;

use super::DecompressSettings;
use super::decoder::{Coded, Decoder, Limits, Undecodable};

/// The filter `decompress`.
///
/// Bodies are decoded as they pass, within bounds on what comes of a piece and of all.
#[derive(Debug)]
pub struct Decompress {
    always: bool,
    limits: Limits,
    places: Arc<Semaphore>,
    /// What tells this filter from others on its route.
    id: u64,
    description: String,
}

/// The codings that the client takes, as it came.
#[derive(Clone, Copy, Debug)]
struct Taken {
    filter: u64,
    codings: [bool; Coded::ALL.len()],
}

/// The decoding of a body, while it lasts.
#[derive(Clone)]
struct Running {
    filter: u64,
    decoder: Arc<Mutex<Decoder>>,
    _place: Arc<OwnedSemaphorePermit>,
}

static NEXT_ID: AtomicU64 = AtomicU64::new(0);

impl Decompress {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When `max_size` is 0, or `max_ratio` or `max_active` is out of its range.
    pub fn build(settings: DecompressSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        settings.check()?;
        // Checked to be at most 10000.
        let most = usize::try_from(settings.max_active).unwrap_or(Semaphore::MAX_PERMITS);
        let whom = if settings.always { "for all" } else { "for clients that need it" };
        Ok(Self {
            description: format!("{whom}, up to {}", settings.max_size),
            always: settings.always,
            limits: Limits { size: settings.max_size.bytes(), ratio: settings.max_ratio.into() },
            places: cx.keep(&format!("{most} decoders"), || Semaphore::new(most)),
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
        })
    }

    /// Whether the client can read the answer as it came.
    fn is_taken(&self, coded: Coded, cx: &FilterCx<'_>) -> bool {
        let taken = cx.extensions().get::<Taken>().filter(|taken| taken.filter == self.id);
        let place = Coded::ALL.into_iter().position(|known| known == coded);
        taken.zip(place).is_some_and(|(taken, place)| taken.codings[place])
    }

    fn begin(&self, coded: Coded, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let busy = HookError::new("too many answers are decoded at once");
            return Err(busy.with_status(StatusCode::SERVICE_UNAVAILABLE).with_cause("decompress_busy"));
        };
        let decoder = Decoder::new(coded, self.limits);
        let decoder = decoder.map_err(|error| HookError::new("no decoder").with_source(error))?;
        cx.extensions_mut().insert(Running {
            filter: self.id,
            decoder: Arc::new(Mutex::new(decoder)),
            _place: Arc::new(place),
        });
        Ok(())
    }

    /// Ends what this filter began.
    fn forget(&self, cx: &mut FilterCx<'_>) {
        if cx.extensions().get::<Running>().is_some_and(|running| running.filter == self.id) {
            cx.extensions_mut().remove::<Running>();
        }
    }
}

#[async_trait]
impl Filter for Decompress {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        if !self.always {
            let codings = Coded::ALL.map(|coded| takes_coding(request.headers(), coded.as_str()));
            if codings.contains(&true) {
                cx.extensions_mut().insert(Taken { filter: self.id, codings });
            }
        }
        Ok(Flow::Continue)
    }

    fn on_response(&self, response: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        // An error may stand in the place of an answer that was to be decoded.
        self.forget(cx);
        if is_plain(response) || !is_whole_answer(response) {
            return Ok(());
        }
        let Some(coded) = coding_of(response) else {
            return if self.always { Err(failed("the answer's coding is not known")) } else { Ok(()) };
        };
        if asks_no_change(response.headers()) {
            return Ok(());
        }
        if !self.always {
            vary_by_coding(response)?;
            if self.is_taken(coded, cx) {
                return Ok(());
            }
        }
        if *response.request_method() != Method::HEAD {
            self.begin(coded, cx)?;
        }
        recode(response, None)
    }

    fn on_response_body(
        &self,
        body: &mut Option<Bytes>,
        end: bool,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        let running = cx.extensions().get::<Running>().filter(|running| running.filter == self.id);
        let Some(Running { decoder, .. }) = running else { return Ok(()) };
        let piece = body.take().unwrap_or_default();
        let plain = decoder.lock().decode(&piece, end).map_err(undecodable)?;
        *body = Some(plain.into());
        if end {
            // Others may have the place while the client still reads.
            self.forget(cx);
        }
        Ok(())
    }

    fn on_response_trailers(
        &self,
        _: &mut HeaderMap,
        cx: &mut FilterCx<'_>,
    ) -> Result<Option<Bytes>, HookError> {
        let mut last = None;
        self.on_response_body(&mut last, true, cx)?;
        Ok(last.filter(|last| !last.is_empty()))
    }

    fn needs(&self) -> Needs {
        Needs::BODIES
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

/// The coding of an answer, if it has one and no other.
fn coding_of(response: &ResponseView<'_>) -> Option<Coded> {
    let mut fields = response.headers().get_all(CONTENT_ENCODING).iter().map(HeaderValue::as_bytes);
    let coded = Coded::named(fields.next()?.trim_ascii())?;
    fields.next().is_none().then_some(coded)
}

/// Whether nothing was done to the answer: `identity` says just that (RFC 9110 §8.4.1).
fn is_plain(response: &ResponseView<'_>) -> bool {
    let fields = response.headers().get_all(CONTENT_ENCODING);
    fields.iter().all(|field| field.as_bytes().trim_ascii().eq_ignore_ascii_case(b"identity"))
}

fn undecodable(error: Undecodable) -> HookError {
    match error {
        Undecodable::TooLong => failed("the answer").with_cause("decompress_bomb"),
        Undecodable::Broken(_) => failed("the answer"),
    }
    .with_source(error)
}

/// A failure of the endpoint's.
fn failed(message: &str) -> HookError {
    HookError::new(message).with_status(StatusCode::BAD_GATEWAY).with_cause("decompress_failed")
}

#[cfg(test)]
mod tests;
