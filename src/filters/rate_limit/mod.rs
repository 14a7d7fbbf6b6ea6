//! `rate_limit`: refuses, delays or marks requests that come faster than a rate, for each key on its own.
//!
//! The algorithm ([`gcra`]) and the table of keys ([`table`]) are pure; [`Limiter`] shares them between threads;
//! [`RateLimit`] is the filter around it. Time comes from the request's context. Where several processes count together,
//! [`cluster`] lets a store decide, and the limiter only when that does not answer.

mod cluster;
mod counter;
mod fields;
mod filter;
mod gcra;
mod limiter;
mod settings;
mod table;
mod verdict;

pub use filter::RateLimit;
pub use limiter::{Decision, Limiter};
pub use settings::{OnStoreFailure, RateLimitMode, RateLimitScope, RateLimitSettings};
pub use verdict::RateLimitVerdict;
