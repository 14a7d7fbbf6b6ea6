use http::header::{HOST, USER_AGENT};
use http::{Method, StatusCode};
use memchr::memmem;
use pingora_core::Result;
use pingora_core::protocols::Stream;
use pingora_core::protocols::http::v1::client::HttpSession;
use pingora_http::RequestHeader;

use crate::config::spec::{BodyText, HttpCheckSpec, PROBE_BODY};

use super::check;
use super::failure::unhealthy;

/// A request by Pingora's HTTP/1 client, on a connection of its own.
///
/// Pingora's `HttpHealthCheck` looks at no body, reads one of any length, and has a connector, with all authorities
/// that the system trusts, for each endpoint.
pub(super) struct HttpCheck {
    spec: HttpCheckSpec,
    host: String,
}

impl HttpCheck {
    pub(super) fn new(spec: HttpCheckSpec, host: String) -> Self {
        Self { spec, host }
    }

    pub(super) async fn ask(&self, stream: Stream) -> Result<String> {
        let mut session = HttpSession::new(stream);
        session.write_request_header(Box::new(self.request()?)).await?;
        let status = final_status(&mut session).await?;
        if !self.spec.expect.iter().any(|range| range.contains(status.as_u16())) {
            return Err(unhealthy(status.to_string()));
        }
        let body = beginning_of_body(&mut session).await?;
        match &self.spec.contains {
            Some(BodyText(text)) if memmem::find(&body, text.as_bytes()).is_none() => {
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
