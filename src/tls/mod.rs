//! Ends TLS for a listener: certificates by server name, client certificates by host, session tickets.
//!
//! [`Termination`] is built from the listener's resolved configuration. It reads and checks every file, and says all
//! that is wrong at once; it shakes hands; and it takes the files' new contents over as a whole, so that connections
//! see either the old certificates or the new ones. [`TicketKeys`] is the one part that outlives it: the keys of
//! session tickets stay over reloads and can be given to a successor process.
//!
//! This module knows nothing of sockets, deadlines, logs and HTTP. Its callers keep the deadline of a handshake, decide
//! what is logged of a [`HandshakeError`], and ask [`Termination::serves`] before they serve a request.

mod certificate;
mod checks;
mod client_auth;
mod client_cert;
mod clock;
mod coverage;
mod der;
mod distinguished_name;
mod error;
mod files;
mod first_words;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod handshake;
mod hello;
mod keyring;
mod ocsp;
mod policy;
mod printable;
mod private_key;
mod problem;
mod provider;
mod reload;
mod session;
mod state;
mod termination;
#[cfg(test)]
mod tests;
mod ticketer;
mod tickets;
mod upstream;

pub(crate) use certificate::CertificateInfo;
pub(crate) use client_auth::PolicyId;
pub(crate) use clock::{Clock, system_clock};
pub(crate) use error::HandshakeError;
pub(crate) use first_words::{FirstWords, Wishes};
pub(crate) use handshake::Accepted;
pub(crate) use problem::Problem;
pub(crate) use provider::install_provider;
pub(crate) use termination::Termination;
pub(crate) use tickets::TicketKeys;
pub(crate) use upstream::UpstreamFiles;
