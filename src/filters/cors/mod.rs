//! `cors`: tells browsers which other sites' pages may use a route (Fetch Standard §3.2).

mod filter;
mod origin;
mod settings;

pub use filter::Cors;
pub use origin::{InvalidOrigin, OriginPattern};
pub use settings::CorsSettings;
