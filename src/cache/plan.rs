use std::time::Duration;

use http::{HeaderName, StatusCode};

use crate::types::VarName;

/// How the answers of a route are cached, as its settings say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Plan {
    /// How long answers of a status are fresh that say nothing of it themselves.
    pub(crate) ttl: Vec<(StatusCode, Duration)>,
    /// Whether that is so whatever they say.
    pub(crate) force_ttl: bool,
    /// How many percent of its time without a change an answer that says nothing is fresh; `None` for never.
    pub(crate) heuristic: Option<u8>,
    pub(crate) while_revalidate: Duration,
    pub(crate) if_error: Duration,
    /// The fields for caches like this one, by rank (RFC 9213).
    pub(crate) control_fields: Vec<HeaderName>,
    pub(crate) store_set_cookie: bool,
    pub(crate) store_authorized: bool,
    /// Whether clients may ask for answers that are newer than those stored.
    pub(crate) honours_clients: bool,
    /// What the request says besides its target that answers depend on.
    pub(crate) key_headers: Vec<HeaderName>,
    pub(crate) key_cookies: Vec<String>,
    /// What filters have told of it that answers depend on.
    pub(crate) key_vars: Vec<VarName>,
    pub(crate) ignores_query: bool,
    /// Requests with one of these are not for the cache.
    pub(crate) bypass_headers: Vec<HeaderName>,
    pub(crate) bypass_cookies: Vec<String>,
    /// Whether clients are told what the cache did.
    pub(crate) tells_status: bool,
}

impl Plan {
    pub(crate) fn ttl_of(&self, status: StatusCode) -> Option<Duration> {
        self.ttl.iter().find(|(of, _)| *of == status).map(|(_, ttl)| *ttl)
    }
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            ttl: Vec::new(),
            force_ttl: false,
            heuristic: Some(10),
            while_revalidate: Duration::ZERO,
            if_error: Duration::ZERO,
            control_fields: vec![HeaderName::from_static("cdn-cache-control")],
            store_set_cookie: false,
            store_authorized: false,
            honours_clients: false,
            key_headers: Vec::new(),
            key_cookies: Vec::new(),
            key_vars: Vec::new(),
            ignores_query: false,
            bypass_headers: Vec::new(),
            bypass_cookies: Vec::new(),
            tells_status: true,
        }
    }
}
