use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{BufMut, Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{HeaderName, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::hooks::{
    BuildCx, BuildError, Filter, FilterCx, Flow, HookError, Needs, RequestView, ResponseView,
};

/// Calls of gRPC-Web, which browsers can make, become calls of gRPC; the trailers of their answers become the last part
/// of the body. Both the binary form and the text form (base64) are served, over HTTP/1.1 and HTTP/2; everything else
/// passes as it is, also the preflight requests of CORS.
#[derive(Clone, Copy, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct GrpcWebSettings {}

/// The filter `grpc_web`.
#[derive(Debug)]
pub struct GrpcWeb;

/// What is known of a call while it lasts.
#[derive(Clone, Debug)]
struct Bridge {
    /// Whether bodies are base64.
    is_text: bool,
    /// Whether the answer is one of gRPC; an error page is none.
    is_answered: bool,
    /// The beginning of four characters of base64.
    rest: Vec<u8>,
}

const GRPC: &str = "application/grpc";
const WEB: &str = "-web";
const TEXT: &str = "-text";
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");
/// The flag of the frame that holds the trailers.
const TRAILERS: u8 = 0x80;

impl GrpcWeb {
    /// Makes the filter, which has no settings.
    ///
    /// # Errors
    /// None.
    pub fn build(_: GrpcWebSettings, _: &BuildCx<'_>) -> Result<Self, BuildError> {
        Ok(Self)
    }
}

#[async_trait]
impl Filter for GrpcWeb {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        let media_type = request.header(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let Some((is_text, suffix)) = media_type.and_then(web_media_type) else { return Ok(Flow::Continue) };
        let media_type = value(&format!("{GRPC}{suffix}"))?;
        request.set_header(CONTENT_TYPE, media_type)?;
        cx.extensions_mut().insert(Bridge { is_text, is_answered: false, rest: Vec::new() });
        Ok(Flow::Continue)
    }

    fn on_upstream_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        let Some(bridge) = bridge(cx) else { return Ok(()) };
        // The attempt before this one may have got half of a body.
        bridge.rest.clear();
        if bridge.is_text {
            request.remove_header(&CONTENT_LENGTH);
        }
        Ok(())
    }

    fn on_request_body(
        &self,
        body: &mut Option<Bytes>,
        end: bool,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        let Some(bridge) = bridge(cx).filter(|bridge| bridge.is_text) else { return Ok(()) };
        if let Some(text) = body.take() {
            *body = Some(bridge.decode(&text)?);
        }
        if end && !bridge.rest.is_empty() {
            return Err(no_base64());
        }
        Ok(())
    }

    fn on_response(&self, response: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        let Some(bridge) = bridge(cx) else { return Ok(()) };
        let media_type = response.header(CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let Some(suffix) = media_type.and_then(|media_type| media_type.strip_prefix(GRPC)) else {
            bridge.is_answered = false;
            return Ok(());
        };
        let text = if bridge.is_text { TEXT } else { "" };
        let media_type = value(&format!("{GRPC}{WEB}{text}{suffix}"))?;
        bridge.is_answered = true;
        // Trailers make a body longer; where the head has them already, none follows.
        if response.header(GRPC_STATUS).is_none() {
            response.remove_header(&CONTENT_LENGTH);
        }
        response.set_header(CONTENT_TYPE, media_type)
    }

    fn on_response_body(
        &self,
        body: &mut Option<Bytes>,
        _: bool,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        let bridge = bridge(cx).filter(|bridge| bridge.is_answered && bridge.is_text);
        if let (Some(_), Some(piece)) = (bridge, body) {
            *piece = STANDARD.encode(&piece).into();
        }
        Ok(())
    }

    fn on_response_trailers(
        &self,
        trailers: &mut HeaderMap,
        cx: &mut FilterCx<'_>,
    ) -> Result<Option<Bytes>, HookError> {
        let Some(bridge) = bridge(cx).filter(|bridge| bridge.is_answered) else { return Ok(None) };
        let frame = frame(trailers);
        trailers.clear();
        Ok(Some(if bridge.is_text { STANDARD.encode(frame).into() } else { frame }))
    }

    fn needs(&self) -> Needs {
        Needs::BODIES
    }

    fn describe(&self) -> String {
        "application/grpc-web becomes application/grpc".to_owned()
    }
}

fn bridge<'a>(cx: &'a mut FilterCx<'_>) -> Option<&'a mut Bridge> {
    cx.extensions_mut().get_mut()
}

/// Whether a media type of gRPC-Web is that of the text form, and what follows the name: `+proto`, say.
fn web_media_type(media_type: &str) -> Option<(bool, String)> {
    let media_type = media_type.to_ascii_lowercase();
    let rest = media_type.strip_prefix(GRPC)?.strip_prefix(WEB)?;
    let (is_text, suffix) = match rest.strip_prefix(TEXT) {
        Some(suffix) => (true, suffix),
        None => (false, rest),
    };
    (suffix.is_empty() || suffix.starts_with(['+', ';', ' '])).then(|| (is_text, suffix.to_owned()))
}

fn value(text: &str) -> Result<HeaderValue, HookError> {
    HeaderValue::from_str(text).map_err(|error| HookError::new("no media type").with_source(error))
}

/// The trailers as the last frame of a body: its flag and length, then a line for each of them.
fn frame(trailers: &HeaderMap) -> Bytes {
    let mut lines = BytesMut::new();
    for (name, value) in trailers {
        lines.put_slice(name.as_str().as_bytes());
        lines.put_u8(b':');
        lines.put_slice(value.as_bytes());
        lines.put_slice(b"\r\n");
    }
    let mut frame = BytesMut::with_capacity(5 + lines.len());
    frame.put_u8(TRAILERS);
    // Endpoints cannot send 4 GiB of trailers.
    frame.put_u32(u32::try_from(lines.len()).unwrap_or(u32::MAX));
    frame.put(lines);
    frame.freeze()
}

impl Bridge {
    /// Decodes a piece of base64, which may begin and end anywhere. Clients may pad each message of its own, so that
    /// padding is no end.
    fn decode(&mut self, piece: &[u8]) -> Result<Bytes, HookError> {
        const QUANTUM: usize = 4;
        self.rest.extend_from_slice(piece);
        let whole = self.rest.len() - self.rest.len() % QUANTUM;
        let mut decoded = Vec::with_capacity(whole / QUANTUM * 3);
        let mut text = &self.rest[..whole];
        while !text.is_empty() {
            let padded = text.chunks(QUANTUM).position(|quantum| quantum.ends_with(b"="));
            let (padded, rest) = text.split_at(padded.map_or(text.len(), |index| (index + 1) * QUANTUM));
            STANDARD.decode_vec(padded, &mut decoded).map_err(|_| no_base64())?;
            text = rest;
        }
        self.rest.drain(..whole);
        Ok(decoded.into())
    }
}

fn no_base64() -> HookError {
    HookError::new("the body of a call of gRPC-Web is no base64").with_status(StatusCode::BAD_REQUEST)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::time::Instant;

    use super::*;
    use crate::hooks::testing::{self, Exchange};

    fn filter() -> GrpcWeb {
        testing::build(GrpcWebSettings {}, GrpcWeb::build).unwrap()
    }

    async fn call(media_type: &str) -> Exchange {
        let mut exchange = Exchange::get("/a.B/C", Instant::now())
            .with_header("content-type", media_type)
            .with_header("content-length", "8")
            .with_response_header("content-type", "application/grpc+proto")
            .with_response_header("content-length", "8");
        assert!(matches!(exchange.on_request(&filter()).await, Ok(Flow::Continue)));
        exchange.on_upstream_request(&filter()).unwrap();
        exchange.on_response(&filter()).unwrap();
        exchange
    }

    fn trailers() -> HeaderMap {
        HeaderMap::from_iter([(GRPC_STATUS, HeaderValue::from_static("0"))])
    }

    #[tokio::test]
    async fn the_binary_form_gets_its_trailers_in_the_body() {
        let mut exchange = call("application/grpc-web+proto").await;
        assert_eq!(exchange.request_headers()[CONTENT_TYPE], "application/grpc+proto");
        assert_eq!(exchange.request_headers()[CONTENT_LENGTH], "8");
        assert_eq!(exchange.response_headers()[CONTENT_TYPE], "application/grpc-web+proto");
        assert!(!exchange.response_headers().contains_key(CONTENT_LENGTH));
        let mut body = Some(Bytes::from_static(b"\0\0\0\0\x01x"));
        exchange.on_response_body(&filter(), &mut body, false).unwrap();
        assert_eq!(body.unwrap(), b"\0\0\0\0\x01x".as_slice());
        let last = exchange.on_response_trailers(&filter(), &mut trailers()).unwrap().unwrap();
        assert_eq!(last, b"\x80\0\0\0\x0fgrpc-status:0\r\n".as_slice());
    }

    #[tokio::test]
    async fn the_text_form_is_base64_both_ways() {
        let mut exchange = call("application/grpc-web-text").await;
        assert_eq!(exchange.request_headers()[CONTENT_TYPE], "application/grpc");
        assert!(!exchange.request_headers().contains_key(CONTENT_LENGTH), "the body gets shorter");
        assert_eq!(exchange.response_headers()[CONTENT_TYPE], "application/grpc-web-text+proto");
        let mut body = Some(Bytes::from_static(b"AAAAAAF4"));
        exchange.on_request_body(&filter(), &mut body, true).unwrap();
        assert_eq!(body.as_deref(), Some(b"\0\0\0\0\x01x".as_slice()));
        exchange.on_response_body(&filter(), &mut body, false).unwrap();
        assert_eq!(body.as_deref(), Some(b"AAAAAAF4".as_slice()));
        let last = exchange.on_response_trailers(&filter(), &mut trailers()).unwrap().unwrap();
        assert_eq!(STANDARD.decode(last).unwrap()[5..], *b"grpc-status:0\r\n");
    }

    #[tokio::test]
    async fn broken_base64_is_a_bad_request() {
        for (text, end) in [("A*==", false), ("AAAA!", true), ("AAA", true)] {
            let mut exchange = call("application/grpc-web-text").await;
            let mut body = Some(Bytes::from_static(text.as_bytes()));
            let error = exchange.on_request_body(&filter(), &mut body, end).unwrap_err();
            assert_eq!(error.status(), StatusCode::BAD_REQUEST, "{text}");
        }
    }

    #[tokio::test]
    async fn everything_else_passes() {
        for media_type in ["application/grpc", "application/grpc-webby", "application/json"] {
            let mut exchange = call(media_type).await;
            assert_eq!(exchange.request_headers()[CONTENT_TYPE], media_type);
            assert_eq!(exchange.response_headers()[CONTENT_TYPE], "application/grpc+proto");
            assert!(exchange.on_response_trailers(&filter(), &mut trailers()).unwrap().is_none());
        }
        let mut page = Exchange::get("/", Instant::now())
            .with_header("content-type", "application/grpc-web-text")
            .with_response_header("content-type", "text/html");
        page.on_request(&filter()).await.unwrap();
        page.on_response(&filter()).unwrap();
        let mut body = Some(Bytes::from_static(b"sorry"));
        page.on_response_body(&filter(), &mut body, true).unwrap();
        assert_eq!(body.as_deref(), Some(b"sorry".as_slice()), "an error page is no answer of gRPC");
    }

    proptest! {
        #[test]
        fn pieces_and_padding_do_not_matter(
            messages in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..20), 1..6),
            cut in 1usize..9,
        ) {
            let text: String = messages.iter().map(|message| STANDARD.encode(message)).collect();
            let mut bridge = Bridge { is_text: true, is_answered: false, rest: Vec::new() };
            let pieces = text.as_bytes().chunks(cut).map(|piece| bridge.decode(piece).unwrap());
            prop_assert_eq!(pieces.flatten().collect::<Vec<_>>(), messages.concat());
            prop_assert!(bridge.rest.is_empty());
        }
    }
}
