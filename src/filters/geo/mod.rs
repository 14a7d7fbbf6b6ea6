//! `geo`: where in the world clients are, by a database of networks: lets some in, keeps some out, and tells later filters.
//!
//! [`Database`](database::Database) looks up; [`Geo`] is the filter around it.

mod database;
mod filter;
mod settings;
#[cfg(test)]
mod writer;

pub use filter::Geo;
pub use settings::{CountryCode, GeoSettings, InvalidCountryCode, InvalidRecordPath, OnUnknown, RecordPath};
