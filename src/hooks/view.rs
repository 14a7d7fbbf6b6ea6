use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Version};
use pingora_http::RequestHeader;

use super::HookError;
use super::response_head::ResponseHead;

/// A request's head as filters see and change it.
///
/// The path is already normalised (RFC 3986 §6.2.2: case, percent-encoding, dot segments; slashes merged), and
/// is what was matched and what will be forwarded.
pub struct RequestView<'a> {
    source: Source<'a>,
    host: &'a str,
}

/// Where a request is.
enum Source<'a> {
    /// Its head alone.
    Head(&'a mut RequestHeader),
    /// All of it, as far as it has come.
    Incoming(&'a mut dyn Incoming),
}

/// A request whose body has not been read yet.
#[async_trait]
pub(crate) trait Incoming: Send + Sync {
    fn head(&self) -> &RequestHeader;

    fn head_mut(&mut self) -> &mut RequestHeader;

    /// Reads more than the first `limit` bytes of the body, or all of it, and leaves them where they are.
    async fn read_body(&mut self, limit: usize) -> Result<EarlyBody, HookError>;
}

/// What was read of a request's body before an endpoint was chosen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct EarlyBody {
    /// The bytes, from the first on.
    pub bytes: Bytes,
    /// Whether that is all of it.
    pub is_whole: bool,
}

/// A response's head as filters see and change it, beside the request that it answers.
#[derive(Debug)]
pub struct ResponseView<'a> {
    head: ResponseHead<'a>,
    request: &'a RequestHeader,
    host: &'a str,
    cause: Option<&'a str>,
    is_from_endpoint: bool,
}

// === RequestView ===

impl<'a> RequestView<'a> {
    /// The longest beginning of a body that [`read_body`](Self::read_body) reads, 48 KiB: with one more piece it is as much as
    /// is kept of a body for another attempt.
    pub const MOST_READ: usize = 48 * 1024;

    /// A request whose body is out of reach.
    pub(crate) fn new(head: &'a mut RequestHeader, host: &'a str) -> Self {
        Self { source: Source::Head(head), host }
    }

    /// A request of which all is to come but the head.
    pub(crate) fn incoming(request: &'a mut dyn Incoming, host: &'a str) -> Self {
        Self { source: Source::Incoming(request), host }
    }

    /// The method.
    pub fn method(&self) -> &Method {
        &self.head().method
    }

    /// The version of HTTP in which it came.
    pub fn version(&self) -> Version {
        self.head().version
    }

    /// The host that the client asked for: lower case, without port and closing dot. It stays the same when a
    /// filter changes the `Host` that is forwarded.
    pub fn host(&self) -> &str {
        self.host
    }

    /// The path, starting with `/`.
    pub fn path(&self) -> &str {
        self.head().uri.path()
    }

    /// The query without its `?`; `None` when there is no `?`.
    pub fn query(&self) -> Option<&str> {
        self.head().uri.query()
    }

    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head().headers
    }

    /// The first header of that name.
    pub fn header(&self, name: impl http::header::AsHeaderName) -> Option<&HeaderValue> {
        self.head().headers.get(name)
    }

    /// The value of a cookie, the first of that name over all `Cookie` headers.
    pub fn cookie(&self, name: &str) -> Option<&str> {
        crate::types::cookie(&self.head().headers, name)
    }

    /// Sets a header, in place of all that had its name.
    ///
    /// # Errors
    /// When the head has no room for more headers.
    pub fn set_header(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), HookError> {
        self.head_mut().insert_header(name, value).map_err(no_room)
    }

    /// Adds a header beside those that have its name.
    ///
    /// # Errors
    /// When the head has no room for more headers.
    pub fn add_header(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), HookError> {
        self.head_mut().append_header(name, value).map(drop).map_err(no_room)
    }

    /// Removes all headers of that name.
    pub fn remove_header(&mut self, name: &HeaderName) {
        self.head_mut().remove_header(name);
    }

    /// Changes the path and query that are forwarded; the route is not looked up again.
    ///
    /// # Errors
    /// When it is no origin-form target (RFC 9112 §3.2.1), starting with `/`.
    pub fn set_path_and_query(&mut self, target: &str) -> Result<(), HookError> {
        let invalid = || HookError::new(format!("`{target}` cannot be a request's path and query"));
        if !target.starts_with('/') {
            return Err(invalid());
        }
        let uri = http::Uri::builder().path_and_query(target).build().map_err(|_| invalid())?;
        self.head_mut().set_uri(uri);
        Ok(())
    }

    /// Waits for the beginning of the body: for more than its first `limit` bytes, of which
    /// [`MOST_READ`](Self::MOST_READ) are the most, or for all of it. Only from [`Filter::on_request`]. What was read goes on as if
    /// nobody had read it, and several filters may read it. A client that waits for a 100 is asked for the body.
    ///
    /// The listener's limits on the time that a body takes apply. A call that streams may send the rest only when it is
    /// answered, so do not wait for the bodies of gRPC.
    ///
    /// # Errors
    /// When the client is gone, too slow or breaks HTTP, or in another phase. The request fails by that, whatever the filter
    /// makes of it.
    ///
    /// [`Filter::on_request`]: super::Filter::on_request
    pub async fn read_body(&mut self, limit: usize) -> Result<EarlyBody, HookError> {
        match &mut self.source {
            Source::Incoming(request) => request.read_body(limit.min(Self::MOST_READ)).await,
            Source::Head(_) => Err(HookError::new("a body can be read in `on_request` alone")),
        }
    }

    pub(crate) fn head(&self) -> &RequestHeader {
        match &self.source {
            Source::Head(head) => head,
            Source::Incoming(request) => request.head(),
        }
    }

    fn head_mut(&mut self) -> &mut RequestHeader {
        match &mut self.source {
            Source::Head(head) => head,
            Source::Incoming(request) => request.head_mut(),
        }
    }
}

impl fmt::Debug for RequestView<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestView").field("head", self.head()).field("host", &self.host).finish()
    }
}

// === ResponseView ===

impl<'a> ResponseView<'a> {
    pub(crate) fn new(head: ResponseHead<'a>, request: &'a RequestHeader, host: &'a str) -> Self {
        Self { head, request, host, cause: None, is_from_endpoint: false }
    }

    /// The same for an answer that tells of a failure.
    pub(crate) fn with_cause(self, cause: Option<&'a str>) -> Self {
        Self { cause, ..self }
    }

    /// The same for one that an endpoint has given, or not.
    pub(crate) fn given_by_endpoint(self, is_from_endpoint: bool) -> Self {
        Self { is_from_endpoint, ..self }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.head.get().status
    }

    /// Changes the status.
    ///
    /// # Errors
    /// When it is below 200, or the response is a 101.
    pub fn set_status(&mut self, status: StatusCode) -> Result<(), HookError> {
        if status.is_informational() || self.head.get().status.is_informational() {
            return Err(HookError::new("an informational status cannot be set or changed"));
        }
        self.head.get_mut().set_status(status).map_err(|_| HookError::new("status out of range"))
    }

    /// All headers.
    pub fn headers(&self) -> &HeaderMap {
        &self.head.get().headers
    }

    /// The first header of that name.
    pub fn header(&self, name: impl http::header::AsHeaderName) -> Option<&HeaderValue> {
        self.head.get().headers.get(name)
    }

    /// Sets a header, in place of all that had its name.
    ///
    /// # Errors
    /// When the head has no room for more headers.
    pub fn set_header(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), HookError> {
        self.head.get_mut().insert_header(name, value).map_err(no_room)
    }

    /// Adds a header beside those that have its name.
    ///
    /// # Errors
    /// When the head has no room for more headers.
    pub fn add_header(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), HookError> {
        self.head.get_mut().append_header(name, value).map(drop).map_err(no_room)
    }

    /// Removes all headers of that name.
    pub fn remove_header(&mut self, name: &HeaderName) {
        self.head.get_mut().remove_header(name);
    }

    /// Why the edge fails or refuses the request, by the word that the log has for it: `no_endpoint_fit`, say. `None` for
    /// all that endpoints answer, and for what a route or a filter answers on purpose.
    pub fn cause(&self) -> Option<&str> {
        self.cause
    }

    /// Whether an endpoint has given this answer to this very request. A stored one was given to another, and the rest are the
    /// edge's own.
    pub fn is_from_endpoint(&self) -> bool {
        self.is_from_endpoint
    }

    /// The method of the request that this answers.
    pub fn request_method(&self) -> &Method {
        &self.request.method
    }

    /// The headers of the request that this answers, as the filters left them.
    pub fn request_headers(&self) -> &HeaderMap {
        &self.request.headers
    }

    /// The path of the request that this answers, as the filters left it.
    pub fn request_path(&self) -> &str {
        self.request.uri.path()
    }

    /// The host that the client asked for: lower case, without port and closing dot.
    pub fn request_host(&self) -> &str {
        self.host
    }

    pub(crate) fn request(&self) -> &RequestHeader {
        self.request
    }
}

fn no_room(_: impl fmt::Display) -> HookError {
    HookError::new("too many headers")
}
