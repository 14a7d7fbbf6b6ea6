use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::pools::{Subject, Transition};
use crate::types::wall_time;

/// A change of how an endpoint stands, of a panic, or of the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub(crate) struct TransitionStatus {
    /// The first is 1; an upgrade does not begin anew.
    pub(crate) number: u64,
    /// When it came (RFC 3339).
    pub(crate) at: String,
    /// The pool; none where the configuration changed.
    pub(crate) pool: Option<String>,
    /// The endpoint; none where the whole pool changed.
    pub(crate) endpoint: Option<String>,
    /// States in the words of an endpoint's `state`, `panic` and `no panic`, or `generation 3`.
    pub(crate) from: String,
    /// The same; `refused` where a configuration could not be served.
    pub(crate) to: String,
    /// What brought it about.
    pub(crate) why: String,
}

impl From<Transition> for TransitionStatus {
    fn from(transition: Transition) -> Self {
        let Transition { number, at, of, from, to, why } = transition;
        let (pool, endpoint) = match of {
            Subject::Configuration => (None, None),
            Subject::Pool(pool) => (Some(pool.to_string()), None),
            Subject::Endpoint(pool, address) => (Some(pool.to_string()), Some(address.to_string())),
        };
        let at = humantime::format_rfc3339_millis(wall_time(at)).to_string();
        Self { number, at, pool, endpoint, from: from.into_owned(), to: to.into_owned(), why }
    }
}
