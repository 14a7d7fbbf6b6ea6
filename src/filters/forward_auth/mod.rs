//! `forward_auth`: another service says whether a request may pass, and for whom it is.

mod answer;
mod filter;
mod known;
mod question;
mod settings;
#[cfg(test)]
mod tests;

pub use filter::ForwardAuth;
pub use settings::{AuthCacheSettings, AuthMethod, ForwardAuthSettings};
