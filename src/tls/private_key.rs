use std::path::Path;
use std::sync::Arc;

use rustls::SignatureAlgorithm;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use rustls::sign::SigningKey;
use zeroize::Zeroizing;

use crate::config::KeyPath;

use super::{Problem, files};

/// The kind of a certificate's key, first what clients get if they know it: what is cheap to sign with comes before
/// RSA, and what all clients know before Ed25519.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum KeyKind {
    Ecdsa,
    Ed25519,
    Rsa,
}

impl KeyKind {
    pub(super) fn of(key: &dyn SigningKey) -> Option<Self> {
        match key.algorithm() {
            SignatureAlgorithm::ECDSA => Some(Self::Ecdsa),
            SignatureAlgorithm::ED25519 => Some(Self::Ed25519),
            SignatureAlgorithm::RSA => Some(Self::Rsa),
            _ => None,
        }
    }

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Ecdsa => "ECDSA",
            Self::Ed25519 => "Ed25519",
            Self::Rsa => "RSA",
        }
    }
}

/// Reads the private key of a certificate, to sign with.
pub(super) fn read(path: &Path, at: &KeyPath) -> Result<(KeyKind, Arc<dyn SigningKey>), Problem> {
    signing(&read_der(path, at)?, path, at)
}

/// Reads a private key as it is.
pub(super) fn read_der(path: &Path, at: &KeyPath) -> Result<PrivateKeyDer<'static>, Problem> {
    let pem = Zeroizing::new(files::read(path, at)?);
    let is_encrypted = memchr::memmem::find(&pem, b"ENCRYPTED").is_some();
    PrivateKeyDer::from_pem_slice(&pem).map_err(|_| {
        if is_encrypted {
            problem(path, at, "has a private key with a passphrase, which nobody could enter")
                .help("write it without one: openssl pkey -in KEY -out KEY.plain")
        } else {
            problem(path, at, "has no private key in PEM")
                .help("a key in PEM begins with a line like -----BEGIN PRIVATE KEY-----")
        }
    })
}

/// The key that was read from `path`, to sign with.
pub(super) fn signing(
    key: &PrivateKeyDer<'_>,
    path: &Path,
    at: &KeyPath,
) -> Result<(KeyKind, Arc<dyn SigningKey>), Problem> {
    let unsupported = || {
        problem(path, at, "has a private key that is broken or of an unknown kind")
            .help("RSA of 2048 to 8192 bits, ECDSA on P-256, P-384 or P-521, and Ed25519 are supported")
    };
    let key = any_supported_type(key).map_err(|_| unsupported())?;
    let kind = KeyKind::of(&*key).ok_or_else(unsupported)?;
    Ok((kind, key))
}

fn problem(path: &Path, at: &KeyPath, reason: &str) -> Problem {
    Problem::error(at.clone(), format!("`{}` {reason}", path.display()))
}
