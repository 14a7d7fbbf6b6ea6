use std::sync::Arc;

use http::header::{ACCEPT_RANGES, CONTENT_ENCODING, IF_RANGE, RANGE};
use http::{HeaderValue, Method, StatusCode};

use crate::filters::coding::recoder::{Recoder, Recodes};
use crate::filters::coding::{Budget, Share, asks_no_change, is_whole_answer, recode, tags, vary_by_coding};
use crate::filters::own;
use crate::hooks::{BuildCx, BuildError, FilterCx, HookError, RequestView, ResponseView};
use crate::semantics::takes_coding;
use crate::types::client_key;

use super::DecompressSettings;
use super::decoder::{Coded, Decoder, Limits, Undecodable};

/// The filter `decompress`.
///
/// Bodies are decoded as they pass, within bounds on what comes of a piece and of all.
#[derive(Debug)]
pub struct Decompress {
    always: bool,
    limits: Limits,
    memory: u64,
    budget: Arc<Budget>,
    ipv6_prefix: u8,
    description: String,
}

/// The codings that the client takes, as it came.
#[derive(Clone, Copy, Debug)]
struct Taken([bool; Coded::ALL.len()]);

/// The decoding of a body, while it lasts.
pub(in crate::filters) struct Running {
    /// Until the end.
    decoder: Option<Decoder>,
    share: Share,
}

/// What the tags of answers say that were decoded.
const DECODED: &str = "plain";

impl Decompress {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When `max_size` is 0, or `max_ratio` or `memory` is out of its range.
    pub fn build(settings: DecompressSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        settings.check()?;
        let whom = if settings.always { "for all" } else { "for clients that need it" };
        Ok(Self {
            description: format!("{whom}, up to {}", settings.max_size),
            always: settings.always,
            limits: Limits { size: settings.max_size.bytes(), ratio: settings.max_ratio.into() },
            memory: settings.memory.bytes(),
            budget: cx.keep("decoders", Budget::default),
            ipv6_prefix: cx.ipv6_prefix(),
        })
    }

    /// Whether the client can read the answer as it came.
    fn is_taken(&self, coded: Coded, cx: &FilterCx<'_>) -> bool {
        let place = Coded::ALL.into_iter().position(|known| known == coded);
        own::kept(self, cx).zip(place).is_some_and(|(Taken(codings), place)| codings[place])
    }

    /// Whether the client can read all answers as they come, so that it gets parts of them, too.
    fn takes_all(&self, cx: &FilterCx<'_>) -> bool {
        own::kept(self, cx).is_some_and(|Taken(codings)| codings.iter().all(|taken| *taken))
    }

    fn begin(&self, coded: Coded, cx: &FilterCx<'_>) -> Result<Running, HookError> {
        let client = client_key(cx.facts().client_ip, self.ipv6_prefix);
        let Some(share) = self.budget.take(client, coded.most_memory(), self.memory) else {
            let busy = HookError::new("no memory is left to decode the answer in");
            return Err(busy.with_status(StatusCode::SERVICE_UNAVAILABLE).with_cause("decompress_busy"));
        };
        let decoder = Decoder::new(coded, self.limits);
        let decoder = decoder.map_err(|error| HookError::new("no decoder").with_source(error))?;
        Ok(Running { decoder: Some(decoder), share })
    }
}

impl Recoder for Running {
    fn recode(&mut self, piece: &[u8], end: bool) -> Result<Vec<u8>, HookError> {
        let Some(decoder) = &mut self.decoder else { return Ok(Vec::new()) };
        let plain = decoder.decode(piece, end).map_err(undecodable)?;
        if end {
            self.decoder = None;
        }
        // What was made waits until its client takes it, however long that lasts.
        let waiting = plain.len() as u64;
        self.share.resize(waiting + self.decoder.as_ref().map_or(0, Decoder::memory));
        Ok(plain)
    }
}

impl Recodes for Decompress {
    type Recoder = Running;

    fn ask(&self, request: &mut RequestView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        let is_taken = |coded: Coded| !self.always && takes_coding(request.headers(), coded.as_str());
        let codings = Coded::ALL.map(is_taken);
        if codings.contains(&true) {
            own::keep(self, Taken(codings), cx);
        }
        if codings.contains(&false) {
            // A part of a coded body cannot be decoded, and is of no use to this client.
            request.remove_header(&RANGE);
            request.remove_header(&IF_RANGE);
        }
        tags::ask_for_originals(self, request, &[DECODED], cx)
    }

    fn answer(
        &self,
        response: &mut ResponseView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Option<Running>, HookError> {
        if response.status() == StatusCode::NOT_MODIFIED {
            // Nobody says whether what has not changed is coded.
            if !self.always && !asks_no_change(response.headers()) {
                vary_by_coding(response)?;
            }
            return tags::confirm(self, response, Some(DECODED), &[DECODED], cx).map(|()| None);
        }
        if !is_whole_answer(response) {
            return Ok(None);
        }
        if !self.takes_all(cx) {
            // It would not get a part if it asked for one.
            response.remove_header(&ACCEPT_RANGES);
        }
        if is_plain(response) {
            return Ok(None);
        }
        let Some(coded) = coding_of(response) else {
            return if self.always { Err(failed("the answer's coding is not known")) } else { Ok(None) };
        };
        if asks_no_change(response.headers()) {
            return Ok(None);
        }
        if !self.always {
            vary_by_coding(response)?;
            if self.is_taken(coded, cx) {
                return Ok(None);
            }
        }
        let has_body = *response.request_method() != Method::HEAD;
        let running = has_body.then(|| self.begin(coded, cx)).transpose()?;
        recode(response, None, DECODED)?;
        Ok(running)
    }

    fn description(&self) -> &str {
        &self.description
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
