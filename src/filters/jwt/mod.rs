//! `jwt`: lets in clients that show a token which an issuer has signed, and tells endpoints what it says of them.
//!
//! ```text
//! request ─▶ shown ─▶ Token::parse ─▶ KeySource::verify ─▶ Rules::check ─▶ headers and variables
//!                                      secret, file or pool
//! ```
//!
//! Tokens, keys and claims are pure. The signatures are checked by aws-lc-rs; the form of tokens is read here, since what has to
//! be refused about it is most of the work (RFC 8725).

mod algorithm;
mod claims;
mod file;
mod filter;
mod fresh;
#[cfg(any(fuzzing, test))]
pub(in crate::filters) mod fuzzing;
#[cfg(test)]
mod issuer;
mod json;
mod keys;
mod last_set;
mod place;
mod refusal;
mod settings;
mod source;
mod token;

pub use algorithm::{InvalidJwtAlgorithm, JwtAlgorithm, Sha};
pub use filter::Jwt;
pub use settings::{JwksSettings, JwtKeysSettings, JwtSettings};
