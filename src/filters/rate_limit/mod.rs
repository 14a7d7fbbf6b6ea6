//! `rate_limit`: refuses, delays or marks requests that come faster than a rate, for each key on its own.
//!
//! The algorithm ([`gcra`]) and the table of keys ([`table`]) are pure; [`Limiter`] shares them between threads;
//! [`RateLimit`] is the filter around it. Time comes from the request's context.

mod fields;
mod filter;
mod gcra;
mod limiter;
mod settings;
mod table;
mod verdict;

pub use filter::RateLimit;
pub use limiter::{Decision, Limiter};
pub use settings::{RateLimitMode, RateLimitSettings};
pub use verdict::RateLimitVerdict;
