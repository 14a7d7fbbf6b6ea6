//! What `compress` and `decompress` share: the codings of content, and what a head says of a body that is coded in another
//! way than it came. [`Budget`] bounds what bodies hold, and a [`Recoder`](recoder::Recoder) is what they pass through.

mod budget;
mod head;
pub(super) mod recoder;
pub(super) mod tags;

pub(super) use budget::{Budget, Share};
pub(super) use head::{OF_THESE_BYTES, asks_no_change, is_whole_answer, recode, vary_by_coding};

use schemars::JsonSchema;
use serde::Deserialize;

/// A coding of content (RFC 9110 §8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Coding {
    /// Zstandard (RFC 8878).
    Zstd,
    /// Brotli (RFC 7932).
    Br,
    /// gzip (RFC 1952).
    Gzip,
}

impl Coding {
    /// Its name in headers.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Br => "br",
            Self::Gzip => "gzip",
        }
    }
}
