//! `request_headers` and `response_headers`: remove, set and add headers on the way through, in this order.
//!
//! Values without variables are made once, when the configuration is built.

mod field_name;
mod owned;
mod request;
mod response;
mod rules;
mod settings;

pub use field_name::{FieldName, InvalidFieldName};
pub(super) use owned::Side;
pub use request::RequestHeaders;
pub(super) use request::{are_alike, strip_claims};
pub use response::ResponseHeaders;
pub(super) use rules::changeable;
pub use settings::HeaderSettings;

/// Whether filters may set this header of requests: it frames nothing, is not of the connection, and is not Evener's.
pub(crate) fn may_be_set(name: &http::HeaderName) -> bool {
    owned::reason(Side::Request, name).is_none()
}
