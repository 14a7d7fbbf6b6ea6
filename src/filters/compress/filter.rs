use std::sync::Arc;

use http::header::{CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, HeaderMap};
use http::{Method, StatusCode};

use crate::filters::coding::recoder::{Recoder, Recodes};
use crate::filters::coding::{Coding, asks_no_change, is_whole_answer, recode, tags, vary_by_coding};
use crate::filters::own;
use crate::hooks::{BuildCx, BuildError, FilterCx, HookError, RequestView, ResponseView};
use crate::semantics::{codings_by_preference, is_event_stream, is_grpc};
use crate::types::{client_key, content_length};

use super::encoder::Flush;
use super::encoders::{Borrowed, Encoders};
use super::{CompressSettings, Levels, MediaPattern};

/// The filter `compress`.
///
/// Bodies are coded on the worker threads as they pass, a piece of some tens of KiB at a time, so that no answer keeps a
/// thread for longer than a piece of it takes.
#[derive(Debug)]
pub struct Compress {
    codings: Vec<Coding>,
    /// Their names, in the same order.
    offered: Vec<&'static str>,
    min_size: u64,
    types: Vec<MediaPattern>,
    levels: Levels,
    fast_above: u64,
    max_active: u64,
    encoders: Arc<Encoders>,
    ipv6_prefix: u8,
    description: String,
}

/// What the client takes best, as it came.
#[derive(Clone, Copy, Debug)]
struct Wish(Coding);

/// The coding of a body, while it lasts.
pub(in crate::filters) struct Running {
    /// Until the end.
    encoder: Option<Borrowed>,
    /// Whether what is ready goes out with each piece.
    is_live: bool,
}

impl Compress {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When `algorithms` is empty or names one twice, `types` is empty, or a level or `max_active` is out of its range.
    pub fn build(settings: CompressSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        settings.check()?;
        let offered: Vec<_> = settings.algorithms.iter().map(|coding| coding.as_str()).collect();
        Ok(Self {
            description: format!("{} from {}", offered.join(", "), settings.min_size),
            offered,
            codings: settings.algorithms,
            min_size: settings.min_size.bytes(),
            types: settings.types,
            levels: settings.levels,
            fast_above: settings.fast_above.bytes(),
            max_active: settings.max_active.into(),
            encoders: cx.keep("encoders", Encoders::default),
            ipv6_prefix: cx.ipv6_prefix(),
        })
    }

    fn best(&self, headers: &HeaderMap) -> Option<Coding> {
        let best = codings_by_preference(headers, &self.offered).first().copied()?;
        self.codings.iter().copied().find(|coding| coding.as_str() == best)
    }

    /// Whether the answer would be coded for a client that wants it so.
    fn is_worth_it(&self, response: &ResponseView<'_>) -> bool {
        is_whole_answer(response)
            && self.may_be_worth_it(response, content_length(response.headers()))
            && response.header(CONTENT_TYPE).is_some()
    }

    /// Whether an answer without its body, or with a part of it, stands for one that would be coded for some client, as far
    /// as it tells.
    fn stands_for_coded(&self, response: &ResponseView<'_>) -> bool {
        match response.status() {
            StatusCode::NOT_MODIFIED | StatusCode::PRECONDITION_FAILED => {
                self.may_be_worth_it(response, content_length(response.headers()))
            }
            StatusCode::PARTIAL_CONTENT => self.may_be_worth_it(response, whole_length(response)),
            _ => false,
        }
    }

    /// By all but a media type that is not told.
    fn may_be_worth_it(&self, response: &ResponseView<'_>, length: Option<u64>) -> bool {
        response.header(CONTENT_ENCODING).is_none()
            && length.is_none_or(|length| length >= self.min_size)
            && response.header(CONTENT_TYPE).is_none_or(|media| self.is_listed(media.as_bytes()))
            // Its messages have their own compression, and its frames their own ends.
            && !is_grpc(response.headers())
            && !asks_no_change(response.headers())
    }

    fn is_listed(&self, media: &[u8]) -> bool {
        self.types.iter().any(|pattern| pattern.matches(media))
    }

    fn begin(
        &self,
        coding: Coding,
        response: &mut ResponseView<'_>,
        cx: &FilterCx<'_>,
    ) -> Result<Option<Running>, HookError> {
        let length = content_length(response.headers());
        let mut running = None;
        if *response.request_method() != Method::HEAD {
            let levels = if length > Some(self.fast_above) { Levels::FAST } else { self.levels };
            let client = client_key(cx.facts().client_ip, self.ipv6_prefix);
            let borrowed = self.encoders.borrow(coding, levels, client, self.max_active);
            let Some(encoder) = borrowed.map_err(unable)? else { return Ok(None) };
            let is_live = length.is_none() || is_event_stream(response.headers());
            running = Some(Running { encoder: Some(encoder), is_live });
        }
        recode(response, Some(coding.as_str()), coding.as_str())?;
        Ok(running)
    }
}

impl Recodes for Compress {
    type Recoder = Running;

    fn ask(&self, request: &mut RequestView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        let coding = self.best(request.headers()).filter(|_| !asks_no_change(request.headers()));
        if let Some(coding) = coding {
            own::keep(self, Wish(coding), cx);
        }
        tags::ask_for_originals(self, request, &self.offered, cx)
    }

    fn answer(
        &self,
        response: &mut ResponseView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Option<Running>, HookError> {
        let wish = own::kept(self, cx).map(|&Wish(coding)| coding);
        let is_worth_it = self.is_worth_it(response);
        if is_worth_it || self.stands_for_coded(response) {
            vary_by_coding(response)?;
        }
        if response.status() == StatusCode::NOT_MODIFIED {
            tags::confirm(self, response, wish.map(Coding::as_str), &self.offered, cx)?;
        }
        match wish {
            Some(coding) if is_worth_it => self.begin(coding, response, cx),
            _ => Ok(None),
        }
    }

    fn description(&self) -> &str {
        &self.description
    }
}

impl Recoder for Running {
    fn recode(&mut self, piece: &[u8], end: bool) -> Result<Vec<u8>, HookError> {
        let Some(encoder) = &mut self.encoder else { return Ok(Vec::new()) };
        let flush = match (end, self.is_live) {
            (true, _) => Flush::End,
            (false, true) => Flush::Through,
            (false, false) => Flush::Gather,
        };
        let coded = encoder.code(piece, flush).map_err(unable)?;
        if end {
            // Others may use it while the client still reads.
            self.encoder = None;
        }
        Ok(coded)
    }
}

fn unable(error: std::io::Error) -> HookError {
    HookError::new("cannot compress").with_source(error)
}

/// How long the whole is of which this is a part, if that is told (RFC 9110 §14.4).
fn whole_length(response: &ResponseView<'_>) -> Option<u64> {
    response.header(CONTENT_RANGE)?.to_str().ok()?.rsplit_once('/')?.1.parse().ok()
}

#[cfg(test)]
mod tests;
