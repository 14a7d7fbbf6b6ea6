//! The certificate that all peers show, and clients that shake hands with them.

pub(crate) mod certificate;
pub(crate) mod client;
pub(crate) mod shake;
pub(crate) mod tickets;
pub(crate) mod verify;
