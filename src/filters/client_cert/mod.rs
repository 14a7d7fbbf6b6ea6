//! `client_cert`: lets in clients by the certificate that they have shown at the handshake.

mod filter;
mod pattern;
mod settings;

pub use filter::RequireClientCert;
pub use pattern::{Fingerprint, InvalidFingerprint, InvalidNamePattern, SanPattern, SubjectPattern};
pub use settings::ClientCertSettings;
