//! From the parts of a request to the route that it takes.
//!
//! Pure: no clock, no I/O, nothing that changes. [`Router::build`] compiles the routes of one configuration,
//! [`Router::find`] answers for a request without allocating, [`Router::explain`] says why the answer is what
//! it is, and [`Router::unreachable`] finds the routes that no request can take.
//!
//! The most specific route wins: by host (exact, then the wildcard with the longest suffix, then none), then by
//! path (exact, then expressions in the order of the file, then prefixes from the longest, then none), then by
//! the number of further conditions, then by the order of the file. A route whose conditions do not hold gives
//! way to the next one, across hosts too. Prefixes are by whole segments, and `/api` and `/api/` are one prefix.
//!
//! Hosts and literal paths are found by hash, one look-up per label and segment of the request, and no more
//! than the configuration has labels and segments; so the price of a request hardly depends on the number of
//! routes. Linear are only the expressions of one host and the routes of one host and path.
//!
//! This module knows requests as text and headers. Pools, filters and Pingora are unknown to it.

mod conditions;
mod explain;
mod host;
mod path;
mod shadow;
mod specificity;
mod table;

pub use explain::{Candidate, Reason, Verdict};
pub use table::{Parts, RouteId, Router, Rule};

#[cfg(test)]
mod tests;
