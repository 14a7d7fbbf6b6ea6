//! `mirror`: another pool sees copies of requests, and nobody sees what it answers.

mod copies;
mod filter;
mod sending;
mod settings;
#[cfg(test)]
mod tests;

pub use filter::Mirror;
pub use settings::{MirrorMethod, MirrorSettings};
