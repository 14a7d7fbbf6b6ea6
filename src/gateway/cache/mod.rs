//! What the cache of a route does to its requests: it is [looked up](lookup) before an endpoint is asked, the endpoint's answer
//! is [stored](store), and either is [given](give) to the client. What may be given though it is old is [refreshed](refresh)
//! meanwhile.

mod asked;
mod give;
mod lookup;
mod part;
mod refresh;
mod store;

use std::sync::Arc;
use std::time::SystemTime;

use http::HeaderValue;
use pingora_http::ResponseHeader;

use crate::cache::rules::{CacheStatus, Forwarded, Wishes};
use crate::cache::{CacheResult, Caching};
use crate::runtime::Cause;

use super::stored::tell;
use asked::Names;
pub(super) use give::{hand_on, is_not_modified, range, stand_in};
pub(super) use lookup::{enable, key, on_find, on_miss, reserve, stored, variance};
pub(super) use store::{begin_attempt, judge, note_request, serves_stale, take};

/// What is known of a request whose route has a cache.
pub(super) struct CacheCx {
    caching: Arc<Caching>,
    wishes: Wishes,
    /// Why it goes to an endpoint, if it does.
    forwarded: Option<Forwarded>,
    /// When the running attempt began, by the clock of dates.
    requested: SystemTime,
    /// The endpoint's word that the stored answer is still the same.
    not_modified: Option<ResponseHeader>,
    /// The cookies that came with it, which are for this client alone.
    cookies: Vec<HeaderValue>,
    /// Of which fields the endpoint is told other than what the request says.
    told_otherwise: Names,
    /// The head of a stored answer that may stand in for one to HEAD, if no endpoint gives any.
    stand_in: Option<Box<ResponseHeader>>,
    /// Whether only the end of its connection tells where the answer ends.
    pub(super) ends_by_closing: bool,
    /// Why there is no endpoint, where a stored answer may stand in for it.
    pub(super) unreserved: Option<Cause>,
    /// Whether a stored answer is given though it is out of date, while another is fetched for others.
    is_refreshed: bool,
    /// Whether a stored answer is given.
    pub(super) is_stored: bool,
    /// What the cache did.
    pub(super) result: CacheResult,
}

impl CacheCx {
    fn new(caching: Arc<Caching>, wishes: Wishes, now: SystemTime) -> Self {
        Self {
            caching,
            wishes,
            forwarded: Some(Forwarded::Bypass),
            requested: now,
            not_modified: None,
            cookies: Vec::new(),
            told_otherwise: Names::new(),
            stand_in: None,
            ends_by_closing: false,
            unreserved: None,
            is_refreshed: false,
            is_stored: false,
            result: CacheResult::Bypass,
        }
    }

    /// Counts what the cache did for the request, once that has ended.
    pub(super) fn count(&self) {
        self.caching.cache.store.results.count(self.result);
    }

    /// Tells in an answer what the cache did, if it is to; `None` when the head has no room.
    fn tell(&self, status: CacheStatus, response: &mut ResponseHeader) -> Option<()> {
        if self.caching.plan.tells_status { tell(status, response) } else { Some(()) }
    }
}

/// Whether the endpoints are the reason, and not the request.
fn is_outage(cause: &Cause) -> bool {
    matches!(
        cause,
        Cause::NoEndpointFit
            | Cause::QueueFull
            | Cause::QueueTimeout
            | Cause::ConnectFailed
            | Cause::ConnectTimeout
            | Cause::TlsFailed(_)
            | Cause::ResponseTimeout
            | Cause::TotalTimeout
            | Cause::UpstreamClosed
            | Cause::UpstreamInvalid
            | Cause::UpstreamStatus
    )
}
