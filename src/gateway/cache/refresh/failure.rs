use std::time::Duration;

use http::StatusCode;
use pingora_core::Error;
use pingora_http::ResponseHeader;

use crate::pools::{Fault, fault_of, is_gone, is_our_own_fault, retry_after};

/// Why nothing came of a refresh.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) reason: String,
    pub(super) retry_after: Option<Duration>,
    /// What the endpoint did wrong, if it tells of that.
    pub(super) fault: Option<Fault>,
}

impl Failure {
    /// One of which the endpoint knows nothing.
    pub(super) fn ours(reason: &str) -> Self {
        Self { reason: reason.to_owned(), retry_after: None, fault: None }
    }

    /// The endpoint answered, but not what was asked for.
    pub(super) fn status(head: &ResponseHeader) -> Self {
        Self {
            reason: head.status.to_string(),
            retry_after: retry_after(head),
            fault: (head.status != StatusCode::TOO_MANY_REQUESTS).then_some(Fault::UpstreamStatus),
        }
    }

    /// The answer is none by the rules of HTTP.
    pub(super) fn invalid(reason: &str) -> Self {
        Self { fault: Some(Fault::UpstreamInvalid), ..Self::ours(reason) }
    }

    /// There was no connection, or it broke.
    pub(super) fn broken(error: &Error) -> Self {
        let is_the_endpoints = !is_gone(error) && !is_our_own_fault(error);
        Self { fault: is_the_endpoints.then(|| fault_of(error)), ..Self::ours(&error.to_string()) }
    }

    /// The answer could not be stored.
    pub(super) fn unstored(error: &Error) -> Self {
        Self::ours(&error.to_string())
    }

    /// The time was over. What went before the attempt is not the endpoint's.
    pub(super) fn late(is_the_endpoints: bool) -> Self {
        let fault = is_the_endpoints.then_some(Fault::TotalTimeout);
        Self { fault, ..Self::ours("no answer in time") }
    }
}
