//! `api_key`: lets in clients that show a key, and tells endpoints whose it is.

mod filter;
mod keys;
mod settings;

pub use filter::ApiKey;
pub use settings::{ApiKeySettings, ApiKeySpec, InvalidApiKey};
