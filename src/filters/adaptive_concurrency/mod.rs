//! `adaptive_concurrency`: lets as many requests be under way at once as the endpoints serve without queueing them.
//!
//! [`Control`](control::Control) is the pure part: it learns a limit from how long requests take. [`AdaptiveConcurrency`] is the filter
//! around it.

mod control;
mod filter;
mod settings;

pub use filter::AdaptiveConcurrency;
pub use settings::AdaptiveConcurrencySettings;
