//! What this bench needs of what the others have in common.

#[path = "../../support/compare/bar.rs"]
pub(crate) mod bar;
#[path = "../../support/compare/figures.rs"]
pub(crate) mod figures;
#[path = "../../support/compare/memory.rs"]
pub(crate) mod memory;
#[path = "../../support/compare/report.rs"]
pub(crate) mod report;
#[path = "../../support/compare/section.rs"]
mod section;
#[path = "../../support/compare/stat.rs"]
pub(crate) mod stat;
#[path = "../../support/compare/words.rs"]
pub(crate) mod words;
