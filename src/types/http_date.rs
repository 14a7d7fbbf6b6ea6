use std::time::SystemTime;

use http::{HeaderMap, HeaderName};

/// A date (RFC 9110 §5.6.7) that stands once and can be read; any other is as if it were not there.
pub(crate) fn http_date(headers: &HeaderMap, name: &HeaderName) -> Option<SystemTime> {
    let mut fields = headers.get_all(name).into_iter();
    let field = fields.next().filter(|_| fields.next().is_none())?;
    httpdate::parse_http_date(field.to_str().ok()?.trim()).ok()
}
