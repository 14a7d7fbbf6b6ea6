//! `fault`: makes requests slow, or fail, on purpose: to see what becomes of those who sent them.

mod filter;
mod settings;

pub use filter::Fault;
pub use settings::{AbortSettings, DelaySettings, FaultSettings};
