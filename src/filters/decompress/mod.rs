//! `decompress`: takes codings off that clients, or other filters, cannot read.
//!
//! [`Decoder`](decoder::Decoder) decodes pieces within bounds and knows nothing of HTTP; [`Decompress`] is the filter around
//! it.

mod decoder;
mod filter;
mod inflate;
mod settings;

pub use filter::Decompress;
pub use settings::DecompressSettings;
