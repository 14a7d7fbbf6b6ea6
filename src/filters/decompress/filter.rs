use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use http::header::{CONTENT_ENCODING, HeaderMap};
use http::{HeaderValue, Method, StatusCode};
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::filters::coding::{asks_no_change, is_whole_answer, recode, vary_by_coding};
use crate::filters::own;
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
    description: String,
}

/// The codings that the client takes, as it came.
#[derive(Clone, Copy, Debug)]
struct Taken([bool; Coded::ALL.len()]);

/// The decoding of a body, while it lasts.
#[derive(Clone)]
struct Running {
    decoder: Arc<Mutex<Decoder>>,
    _place: Arc<OwnedSemaphorePermit>,
}

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
        })
    }

    /// Whether the client can read the answer as it came.
    fn is_taken(&self, coded: Coded, cx: &FilterCx<'_>) -> bool {
        let place = Coded::ALL.into_iter().position(|known| known == coded);
        own::kept(self, cx).zip(place).is_some_and(|(Taken(codings), place)| codings[place])
    }

    fn begin(&self, coded: Coded, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else {
            let busy = HookError::new("too many answers are decoded at once");
            return Err(busy.with_status(StatusCode::SERVICE_UNAVAILABLE).with_cause("decompress_busy"));
        };
        let decoder = Decoder::new(coded, self.limits);
        let decoder = decoder.map_err(|error| HookError::new("no decoder").with_source(error))?;
        let running = Running { decoder: Arc::new(Mutex::new(decoder)), _place: Arc::new(place) };
        own::keep(self, running, cx);
        Ok(())
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
                own::keep(self, Taken(codings), cx);
            }
        }
        Ok(Flow::Continue)
    }

    fn on_response(&self, response: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        // An error may stand in the place of an answer that was to be decoded.
        own::take::<Running>(self, cx);
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
        let Some(Running { decoder, .. }) = own::kept(self, cx) else { return Ok(()) };
        let piece = body.take().unwrap_or_default();
        let plain = decoder.lock().decode(&piece, end).map_err(undecodable)?;
        *body = Some(plain.into());
        if end {
            // Others may have the place while the client still reads.
            own::take::<Running>(self, cx);
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
