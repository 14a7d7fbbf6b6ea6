use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::header::{HOST, USER_AGENT};
use http::uri::Scheme;
use http::{Method, Request, StatusCode, Uri, request};
use memchr::memmem;
use pingora_core::Result;
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_http::RequestHeader;

use crate::config::spec::{BodyText, HeaderNameSpec, HeaderText, HttpCheckSpec, PROBE_BODY};

use super::check;
use super::failure::unhealthy;
use super::http2::{not_http2, speak};

/// A request on a connection of its own, in the version of HTTP that the pool speaks; HTTP/1 by Pingora's client.
///
/// Pingora's `HttpHealthCheck` looks at no body, reads one of any length, and has a connector, with all authorities
/// that the system trusts, for each endpoint.
pub(super) struct HttpCheck {
    spec: HttpCheckSpec,
    scheme: Scheme,
    host: String,
    is_http2: bool,
}

impl HttpCheck {
    pub(super) fn new(spec: HttpCheckSpec, scheme: Scheme, host: String, is_http2: bool) -> Self {
        Self { spec, scheme, host, is_http2 }
    }

    pub(super) async fn ask(&self, stream: Stream) -> Result<String> {
        if self.is_http2 {
            return speak(stream, async |sender| self.ask_over_http2(sender).await).await;
        }
        let mut session = HttpSession::new(stream);
        session.write_request_header(Box::new(self.request()?)).await?;
        let status = final_status(&mut session).await?;
        self.judge_status(status)?;
        self.judge_body(status, &beginning_of_body(&mut session).await?)
    }

    async fn ask_over_http2(&self, mut sender: SendRequest<Bytes>) -> Result<String> {
        let request = self.http2_request().map_err(|error| unhealthy(format!("no request: {error}")))?;
        let (response, _) = sender.send_request(request, true).map_err(not_http2)?;
        let (head, mut body) = response.await.map_err(not_http2)?.into_parts();
        self.judge_status(head.status)?;
        self.judge_body(head.status, &beginning_of_http2_body(&mut body).await?)
    }

    fn judge_status(&self, status: StatusCode) -> Result<()> {
        if self.spec.expect.iter().any(|range| range.contains(status.as_u16())) {
            return Ok(());
        }
        Err(unhealthy(status.to_string()))
    }

    fn judge_body(&self, status: StatusCode, body: &[u8]) -> Result<String> {
        match &self.spec.contains {
            Some(BodyText(text)) if memmem::find(body, text.as_bytes()).is_none() => {
                Err(unhealthy(format!("{status} without `{text}` in the body")))
            }
            _ => Ok(status.to_string()),
        }
    }

    fn request(&self) -> Result<RequestHeader> {
        let mut request = RequestHeader::build(Method::GET, self.spec.path.as_bytes(), None)?;
        request.insert_header(HOST, self.host.as_str())?;
        request.insert_header(USER_AGENT, check::USER_AGENT)?;
        for (name, value) in self.spec.headers.iter() {
            request.insert_header(name.0.clone(), value.0.clone())?;
        }
        Ok(request)
    }

    fn http2_request(&self) -> http::Result<Request<()>> {
        let uri = Uri::builder().scheme(self.scheme.clone()).authority(self.host.as_str());
        let request = Request::get(uri.path_and_query(self.spec.path.as_str()).build()?);
        let request = request.header(USER_AGENT, check::USER_AGENT);
        let add = |request: request::Builder, (name, value): (&HeaderNameSpec, &HeaderText)| {
            request.header(name.0.clone(), value.0.clone())
        };
        self.spec.headers.iter().fold(request, add).body(())
    }
}

/// Reads to the header that is not merely informational (RFC 9110 §15.2).
async fn final_status(session: &mut HttpSession) -> Result<StatusCode> {
    loop {
        session.read_response().await?;
        match session.get_status() {
            Some(StatusCode::SWITCHING_PROTOCOLS) => {
                return Err(unhealthy("an upgrade that nobody asked for"));
            }
            Some(status) if !status.is_informational() => return Ok(status),
            _ => {}
        }
    }
}

/// The body, or as much of it as is looked at.
async fn beginning_of_body(session: &mut HttpSession) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while body.len() < PROBE_BODY
        && let Some(chunk) = session.read_body_ref().await?
    {
        body.extend_from_slice(&chunk[..chunk.len().min(PROBE_BODY - body.len())]);
    }
    Ok(body)
}

async fn beginning_of_http2_body(stream: &mut RecvStream) -> Result<Vec<u8>> {
    let mut body = Vec::new();
    while body.len() < PROBE_BODY
        && let Some(piece) = stream.data().await
    {
        let piece = piece.map_err(not_http2)?;
        stream.flow_control().release_capacity(piece.len()).map_err(not_http2)?;
        body.extend_from_slice(&piece[..piece.len().min(PROBE_BODY - body.len())]);
    }
    Ok(body)
}
