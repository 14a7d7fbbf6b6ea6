use bytes::{BufMut, Bytes, BytesMut};
use h2::RecvStream;
use h2::client::{ResponseFuture, SendRequest};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::uri::Scheme;
use http::{HeaderMap, Method, Request, StatusCode, Uri};
use pingora_core::Result;
use pingora_core::protocols::Stream;

use super::check;
use super::failure::unhealthy;
use super::http2::{not_http2, speak};

/// A call of `grpc.health.v1.Health/Check`.
pub(super) struct GrpcCheck {
    scheme: Scheme,
    authority: String,
    /// A `HealthCheckRequest` with its prefix.
    request: Bytes,
}

const METHOD: &str = "/grpc.health.v1.Health/Check";

/// An answer is a few bytes long; this leaves room for fields that are not known yet.
const LONGEST_ANSWER: usize = 1024;

impl GrpcCheck {
    pub(super) fn new(service: &str, scheme: Scheme, authority: String) -> Self {
        Self { scheme, authority, request: request_for(service) }
    }

    pub(super) async fn ask(&self, stream: Stream) -> Result<String> {
        speak(stream, async |sender| self.call(sender).await).await
    }

    async fn call(&self, mut sender: SendRequest<Bytes>) -> Result<String> {
        let (response, mut body) = sender.send_request(self.header()?, false).map_err(not_http2)?;
        body.send_data(self.request.clone(), true).map_err(not_http2)?;
        let Answer { status, message } = read_answer(response).await?;
        judge(&status, &message)
    }

    fn header(&self) -> Result<Request<()>> {
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.authority.as_str());
        let uri = uri.path_and_query(METHOD).build();
        let request = uri.and_then(|uri| {
            Request::builder()
                .method(Method::POST)
                .uri(uri)
                .header(CONTENT_TYPE, "application/grpc")
                .header(TE, "trailers")
                .header(USER_AGENT, check::USER_AGENT)
                .body(())
        });
        request.map_err(|error| unhealthy(format!("no request for `{}`: {error}", self.authority)))
    }
}

// === The answer ===

struct Answer {
    /// The fields with `grpc-status`: the trailers, or the header where the answer has nothing else.
    status: HeaderMap,
    message: Vec<u8>,
}

async fn read_answer(response: ResponseFuture) -> Result<Answer> {
    let (head, mut body) = response.await.map_err(not_http2)?.into_parts();
    if head.status != StatusCode::OK {
        return Err(unhealthy(head.status.to_string()));
    }
    let message = read_message(&mut body).await?;
    let trailers = body.trailers().await.map_err(not_http2)?;
    Ok(Answer { status: trailers.unwrap_or(head.headers), message })
}

async fn read_message(body: &mut RecvStream) -> Result<Vec<u8>> {
    let mut message = Vec::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.map_err(not_http2)?;
        if message.len() + chunk.len() > LONGEST_ANSWER {
            return Err(unhealthy(format!("the answer is longer than {LONGEST_ANSWER} bytes")));
        }
        message.extend_from_slice(&chunk);
    }
    Ok(message)
}

/// `SERVING`, or why not.
fn judge(status: &HeaderMap, message: &[u8]) -> Result<String> {
    match status.get("grpc-status").map(|status| status.as_bytes()) {
        Some(b"0") => {}
        None => return Err(unhealthy("an answer without grpc-status")),
        Some(code) => {
            let text = status.get("grpc-message").map_or(&b""[..], |text| text.as_bytes());
            let (code, text) = (String::from_utf8_lossy(code), String::from_utf8_lossy(text));
            return Err(unhealthy(format!("grpc-status {code} {text}").trim_end()));
        }
    }
    match serving_status(message) {
        Some(1) => Ok("SERVING".to_owned()),
        Some(0) => Err(unhealthy("UNKNOWN")),
        Some(2) => Err(unhealthy("NOT_SERVING")),
        Some(3) => Err(unhealthy("SERVICE_UNKNOWN")),
        Some(other) => Err(unhealthy(format!("the status {other}"))),
        None => Err(unhealthy("an answer that is no HealthCheckResponse")),
    }
}

// === Messages ===
//
// https://protobuf.dev/programming-guides/encoding, and the framing of the gRPC protocol over HTTP/2: a byte that is 1
// for compressed messages, the length in four bytes, the message. Both messages have one field:
//
//     message HealthCheckRequest { string service = 1; }
//     message HealthCheckResponse { ServingStatus status = 1; }

/// So long is what stands before a message.
const PREFIX: usize = 5;
const SERVICE: u8 = (1 << 3) | LENGTH_DELIMITED as u8;
const STATUS: u64 = (1 << 3) | VARINT;

// Wire types.
const VARINT: u64 = 0;
const FIXED_64: u64 = 1;
const LENGTH_DELIMITED: u64 = 2;
const FIXED_32: u64 = 5;

/// A `HealthCheckRequest`, as it stands in a body. An empty name is the default, and left out.
fn request_for(service: &str) -> Bytes {
    let mut message = Vec::new();
    if !service.is_empty() {
        message.push(SERVICE);
        put_varint(&mut message, service.len());
        message.extend_from_slice(service.as_bytes());
    }
    let mut framed = BytesMut::with_capacity(PREFIX + message.len());
    framed.put_u8(0);
    // A name of 4 GiB does not come out of a configuration file.
    framed.put_u32(message.len() as u32);
    framed.extend_from_slice(&message);
    framed.freeze()
}

/// Seven bits a byte, the lowest first; the eighth says that more come.
fn put_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// The status in a body that holds a `HealthCheckResponse`; `None` if it holds something else.
fn serving_status(body: &[u8]) -> Option<u64> {
    let (prefix, mut fields) = body.split_first_chunk::<PREFIX>()?;
    let [0, length @ ..] = prefix else { return None };
    if usize::try_from(u32::from_be_bytes(*length)) != Ok(fields.len()) {
        return None;
    }
    let mut status = 0;
    while !fields.is_empty() {
        match take_varint(&mut fields)? {
            STATUS => status = take_varint(&mut fields)?,
            other => skip_value(&mut fields, other & 7)?,
        }
    }
    Some(status)
}

fn take_varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn skip_value(bytes: &mut &[u8], wire_type: u64) -> Option<()> {
    let length = match wire_type {
        VARINT => return take_varint(bytes).map(|_| ()),
        FIXED_64 => 8,
        LENGTH_DELIMITED => usize::try_from(take_varint(bytes)?).ok()?,
        FIXED_32 => 4,
        _ => return None,
    };
    *bytes = bytes.get(length..)?;
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(fields: &[(&'static str, &'static str)], body: &[u8]) -> Result<String, String> {
        let mut status = HeaderMap::new();
        for (name, value) in fields {
            status.insert(*name, value.parse().unwrap());
        }
        judge(&status, body).map_err(|error| error.context.unwrap().as_str().to_owned())
    }

    #[test]
    fn a_request_names_its_service() {
        assert_eq!(request_for("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(request_for("shop")[..], *b"\0\0\0\0\x06\x0a\x04shop");
        let long = request_for(&"s".repeat(300));
        assert_eq!(long[..8], [0, 0, 0, 0x01, 0x2f, 0x0a, 0xac, 0x02]);
        assert_eq!(long.len(), 8 + 300);
    }

    #[test]
    fn the_status_is_found_among_fields_that_are_not_known() {
        assert_eq!(serving_status(b"\0\0\0\0\x02\x08\x01"), Some(1));
        assert_eq!(serving_status(b"\0\0\0\0\0"), Some(0));
        let fields = b"\x12\x03abc\x19\0\0\0\0\0\0\0\x08\x08\x02\x25\0\0\0\x08\x20\x80\x01";
        let body = [&[0, 0, 0, 0, fields.len() as u8], &fields[..]].concat();
        assert_eq!(serving_status(&body), Some(2));
    }

    #[test]
    fn what_is_no_message_has_no_status() {
        let bodies: [&[u8]; 7] = [
            b"",
            b"\0\0\0\0",
            // Compressed, too short, too long, and cut within a field.
            b"\x01\0\0\0\x02\x08\x01",
            b"\0\0\0\0\x03\x08\x01",
            b"\0\0\0\0\x01\x08\x01",
            b"\0\0\0\0\x01\x08",
            b"\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
        ];
        for body in bodies {
            assert_eq!(serving_status(body), None, "{body:?}");
        }
    }

    #[test]
    fn only_serving_without_an_error_is_good() {
        let (ok, serving) = (("grpc-status", "0"), b"\0\0\0\0\x02\x08\x01");
        assert_eq!(told(&[ok], serving), Ok("SERVING".to_owned()));
        assert_eq!(told(&[ok], b"\0\0\0\0\x02\x08\x02"), Err("NOT_SERVING".to_owned()));
        assert_eq!(told(&[ok], b"\0\0\0\0\0"), Err("UNKNOWN".to_owned()));
        assert_eq!(told(&[], serving), Err("an answer without grpc-status".to_owned()));
        let unknown = [("grpc-status", "5"), ("grpc-message", "unknown service")];
        assert_eq!(told(&unknown, b""), Err("grpc-status 5 unknown service".to_owned()));
        assert_eq!(told(&[("grpc-status", "12")], b""), Err("grpc-status 12".to_owned()));
    }
}
