//! `bandwidth`: lets bodies and tunnels pass no faster than a rate, for each connection or key.

mod filter;
mod settings;

pub use filter::Bandwidth;
pub use settings::BandwidthSettings;
