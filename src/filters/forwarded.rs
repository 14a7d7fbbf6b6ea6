//! What requests of the edge's own tell of the request that they are made for.

use http::header::HOST;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::hooks::{FilterCx, HookError, RequestView};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Sets `X-Forwarded-For`, `-Host` and `-Proto`, and `X-Request-ID`.
pub(super) fn tell_of(
    request: &RequestView<'_>,
    cx: &FilterCx<'_>,
    headers: &mut HeaderMap,
) -> Result<(), HookError> {
    let facts = cx.facts();
    // What stands there already is from a trusted proxy: of others it was dropped.
    let proto = HeaderValue::from_static(facts.scheme.as_str());
    headers.insert(X_FORWARDED_PROTO, request.header(X_FORWARDED_PROTO).cloned().unwrap_or(proto));
    let host = request.header(X_FORWARDED_HOST).or_else(|| request.header(HOST));
    headers.insert(X_FORWARDED_HOST, host.cloned().map_or_else(|| header_value(request.host()), Ok)?);
    headers.insert(X_FORWARDED_FOR, header_value(&facts.client_ip.to_string())?);
    headers.insert(X_REQUEST_ID, facts.request_id.clone());
    Ok(())
}

pub(super) fn header_value(text: &str) -> Result<HeaderValue, HookError> {
    HeaderValue::from_str(text)
        .map_err(|error| HookError::new("the request cannot be told of").with_source(error))
}
