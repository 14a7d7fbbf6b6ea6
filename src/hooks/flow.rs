use std::borrow::Cow;

use http::{HeaderName, HeaderValue, StatusCode};

use super::Body;

/// What becomes of a request after a filter saw it.
#[derive(Debug, Default)]
#[non_exhaustive]
pub enum Flow {
    /// It goes on to the next filter, and after the last one to the route's action.
    #[default]
    Continue,
    /// The client gets this answer; no endpoint sees the request.
    Respond(Box<Answer>),
    /// The client gets an error with a body made at the edge, in the form that it accepts.
    Reject(Box<Rejection>),
}

/// A complete answer made at the edge.
#[derive(Debug)]
pub struct Answer {
    /// Its status, 200 or above.
    pub status: StatusCode,
    /// Its headers; `Date` is added, and what tells of the body's length.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body.
    pub body: Body,
}

impl Answer {
    /// An answer without headers of its own.
    pub fn new(status: StatusCode, body: impl Into<Body>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }
    }

    /// The same answer with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// A refusal: the edge writes the body, as text or JSON by the client's `Accept`, and logs the cause.
#[derive(Clone, Debug)]
pub struct Rejection {
    /// The status, 400 to 599.
    pub status: StatusCode,
    /// Why, as one stable word in `snake_case` for logs and the body: `rate_limited`.
    pub cause: Cow<'static, str>,
    /// Further headers of the answer.
    pub headers: Vec<(HeaderName, HeaderValue)>,
}

impl Rejection {
    /// A refusal without further headers.
    pub fn new(status: StatusCode, cause: impl Into<Cow<'static, str>>) -> Self {
        Self { status, cause: cause.into(), headers: Vec::new() }
    }

    /// The same refusal with one more header.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl From<Rejection> for Flow {
    fn from(rejection: Rejection) -> Self {
        Self::Reject(Box::new(rejection))
    }
}

impl From<Answer> for Flow {
    fn from(answer: Answer) -> Self {
        Self::Respond(Box::new(answer))
    }
}

/// A hook that could not do its work. The request fails; the client learns only the status.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct HookError {
    status: StatusCode,
    cause: Option<&'static str>,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl HookError {
    /// A failure that the client sees as 500. `message` goes to the log alone.
    pub fn new(message: impl Into<String>) -> Self {
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Self { status, cause: None, message: message.into(), source: None }
    }

    /// The same failure with its cause, which goes to the log alone.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// The same failure with another status, 400 to 599; others become 500.
    #[must_use]
    pub fn with_status(mut self, status: StatusCode) -> Self {
        let is_error = status.is_client_error() || status.is_server_error();
        self.status = if is_error { status } else { StatusCode::INTERNAL_SERVER_ERROR };
        self
    }

    /// The same failure under a word of its own in logs and bodies, in `snake_case`, in the place of `hook_failed`.
    #[must_use]
    pub fn with_cause(mut self, word: &'static str) -> Self {
        self.cause = Some(word);
        self
    }

    /// The status that the client sees.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// The word for logs and bodies.
    pub fn cause(&self) -> &'static str {
        self.cause.unwrap_or("hook_failed")
    }
}
