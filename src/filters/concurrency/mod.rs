//! `concurrency`: lets so many requests of a key be under way at once, and others wait or go.
//!
//! [`Slots`](slots::Slots) counts; [`Concurrency`] is the filter around it.

mod filter;
mod settings;
mod slots;

pub use filter::Concurrency;
pub use settings::ConcurrencySettings;
