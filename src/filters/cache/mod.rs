//! `cache`: gives stored answers, and stores those that may be (RFC 9111).

mod filter;
mod purging;
mod settings;

pub use filter::CacheFilter;
pub use settings::{
    BypassSettings, CacheKeySettings, CacheSettings, ClientDirectives, KeyQuery, PurgeSettings, StaleSettings,
};
