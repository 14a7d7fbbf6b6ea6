//! Cached answers: the rules by which they are used, and where they are kept.

mod memory;
mod plan;
mod rules;

pub(crate) use plan::Plan;
