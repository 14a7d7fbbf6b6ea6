//! `compress`: sends answers in fewer bytes to clients that say which codings they take.
//!
//! [`MediaPattern`] says which answers are worth it, [`Encoder`](encoder::Encoder) codes pieces and knows nothing of HTTP,
//! [`Encoders`](encoders::Encoders) bounds how many there are at once, and [`Compress`] is the filter around them.

mod encoder;
mod encoders;
mod filter;
mod media;
mod settings;

pub use filter::Compress;
pub use media::{InvalidMediaPattern, MediaPattern};
pub use settings::{CompressSettings, Levels};
