//! What the benches have in common that measure what a unit of work costs a running proxy, round by round: processor
//! time and memory, figures with their spread, bars, and the report.

pub(crate) mod bar;
pub(crate) mod connect;
pub(crate) mod crowd;
pub(crate) mod figures;
pub(crate) mod memory;
pub(crate) mod report;
mod section;
pub(crate) mod stat;
pub(crate) mod usage;
pub(crate) mod words;
