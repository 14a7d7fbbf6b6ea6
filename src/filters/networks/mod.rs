//! `allow` and `deny`: let clients in, or keep them out, by the network that they come from.

mod filter;
mod list;
mod ranges;
mod settings;

pub use filter::Networks;
pub(super) use ranges::NetworkSet;
pub use settings::NetworksSettings;
