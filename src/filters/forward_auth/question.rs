use bytes::Bytes;
use http::header::HOST;
use http::uri::PathAndQuery;
use http::{HeaderName, HeaderValue, Method, Request};

use crate::filters::forwarded::{X_REQUEST_ID, header_value, tell_of};
use crate::hooks::{FilterCx, HookError, RequestView};

const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");

/// What the service is asked, and what of a request it is told.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) method: Method,
    pub(super) path: PathAndQuery,
    pub(super) host: Option<HeaderValue>,
    pub(super) send: Vec<HeaderName>,
}

impl Question {
    /// The request to the service, about a request of a client.
    pub(super) fn about(
        &self,
        request: &RequestView<'_>,
        cx: &FilterCx<'_>,
    ) -> Result<Request<Bytes>, HookError> {
        let mut question = Request::new(Bytes::new());
        *question.method_mut() = self.method.clone();
        *question.uri_mut() = self.path.clone().into();
        let headers = question.headers_mut();
        for name in &self.send {
            for value in request.headers().get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
        headers.extend(self.host.iter().map(|host| (HOST, host.clone())));
        tell_of(request, cx, headers)?;
        headers.insert(X_FORWARDED_METHOD, header_value(request.method().as_str())?);
        let target = request.head().uri.path_and_query();
        headers.insert(X_FORWARDED_URI, header_value(target.map_or("/", PathAndQuery::as_str))?);
        Ok(question)
    }
}

/// All that the service is told of a request, but for what no two requests have in common.
pub(super) fn texts(question: &Request<Bytes>) -> impl Iterator<Item = &[u8]> {
    let fields = question.headers().iter().filter(|(name, _)| **name != X_REQUEST_ID);
    fields.flat_map(|(name, value)| [name.as_str().as_bytes(), value.as_bytes()])
}
