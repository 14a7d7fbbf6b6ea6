//! What the benches have in common that compare peers row by row: the frame around what is measured, figures with their
//! spread, bars, the report, and what the kernel says of processes.

pub(crate) mod bar;
pub(crate) mod comparison;
pub(crate) mod figures;
pub(crate) mod memory;
mod report;
mod section;
pub(crate) mod stat;
pub(crate) mod words;
