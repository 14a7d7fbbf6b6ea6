use std::sync::Arc;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::hooks::{Answer, FetchError, Fetched};
use crate::types::VarName;

/// Which headers of an answer are for whom.
#[derive(Debug)]
pub(super) struct Takes {
    pub(super) to_request: Vec<HeaderName>,
    pub(super) to_response: Vec<HeaderName>,
    pub(super) to_client: Vec<HeaderName>,
    pub(super) vars: Vec<(VarName, HeaderName)>,
}

/// What an answer means.
#[derive(Debug)]
pub(super) enum Verdict {
    Granted(Arc<Granted>),
    Denied(Answer),
    /// There is no answer to go by, for this reason.
    Unknown(String),
}

/// A request may pass, with this.
#[derive(Debug, Default)]
pub(super) struct Granted {
    pub(super) to_request: Fields,
    pub(super) to_response: Fields,
    pub(super) vars: Vec<(VarName, Bytes)>,
    /// Whether that may count for requests to come.
    pub(super) may_be_kept: bool,
}

pub(super) type Fields = Vec<(HeaderName, HeaderValue)>;

/// The headers that go with a body, and never without.
pub(super) const ABOUT_BODY: [HeaderName; 3] = [CONTENT_ENCODING, CONTENT_LANGUAGE, CONTENT_TYPE];
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

impl Takes {
    pub(super) fn judge(&self, answer: Result<Fetched, FetchError>) -> Verdict {
        match answer {
            Ok(answer) if answer.status.is_success() => Verdict::Granted(Arc::new(self.granted(&answer))),
            Ok(answer) if is_for_the_client(answer.status) => Verdict::Denied(self.denied(answer)),
            Ok(answer) => Verdict::Unknown(format!("it answered {}", answer.status)),
            Err(error) => Verdict::Unknown(error.to_string()),
        }
    }

    fn granted(&self, answer: &Fetched) -> Granted {
        let headers = &answer.headers;
        let var = |(name, header): &(VarName, HeaderName)| {
            let value = headers.get(header)?;
            Some((name.clone(), Bytes::copy_from_slice(value.as_bytes())))
        };
        Granted {
            to_request: fields(headers, &self.to_request),
            to_response: fields(headers, &self.to_response),
            vars: self.vars.iter().filter_map(var).collect(),
            may_be_kept: !headers.contains_key(SET_COOKIE) && !forbids_storing(headers),
        }
    }

    /// The answer as the client gets it.
    fn denied(&self, answer: Fetched) -> Answer {
        let Fetched { status, headers, body, is_whole, .. } = answer;
        let mut taken = fields(&headers, &self.to_client);
        if !headers.contains_key(CACHE_CONTROL) {
            // Some of these statuses may be stored unless something says otherwise, and it is about this client alone.
            taken.push((CACHE_CONTROL, NO_STORE));
        }
        let body = if is_whole { body } else { Bytes::new() };
        if !body.is_empty() {
            taken.extend(fields(&headers, &ABOUT_BODY));
        }
        Answer { status, headers: taken, body: body.into() }
    }
}

/// Refusals, and redirects to where a client can sign in.
fn is_for_the_client(status: StatusCode) -> bool {
    status.is_client_error() || matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn forbids_storing(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(CACHE_CONTROL).iter();
    let mut directives = fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b','));
    directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(NO_STORE.as_bytes()))
}

fn fields(headers: &HeaderMap, names: &[HeaderName]) -> Fields {
    let of = |name| headers.get_all(name).iter().map(move |value| (HeaderName::clone(name), value.clone()));
    names.iter().flat_map(of).collect()
}
