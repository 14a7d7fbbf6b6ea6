//! `basic_auth`: lets in clients that know a password (RFC 7617).
//!
//! Passwords are checked off the worker threads, since a check is made to take long. What came of it is remembered for a
//! while, under a key that only this process knows.

mod cache;
mod credentials;
mod filter;
mod password;
mod settings;
mod users;

pub use filter::BasicAuth;
pub use password::{InvalidPasswordHash, PasswordHash};
pub use settings::{BasicAuthSettings, InvalidUserName, PasswordCacheSettings, UserName};
