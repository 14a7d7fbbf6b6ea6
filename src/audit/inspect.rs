use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;

/// What a certificate is worth.
pub(super) struct Inspected {
    /// Whom it is of, as it says itself.
    pub(super) subject: String,
    pub(super) not_before: SystemTime,
    pub(super) not_after: SystemTime,
    /// The key, if it is too short: `RSA of 1024 bits`.
    pub(super) weak_key: Option<String>,
    /// The hash that its signature is of, if collisions of it can be made.
    pub(super) weak_hash: Option<&'static str>,
}

/// The certificates of a PEM file. What cannot be read is told by whoever loads the configuration.
pub(super) fn inspect(file: &Path) -> Vec<Inspected> {
    let bytes = fs::read(file).unwrap_or_default();
    let all = CertificateDer::pem_slice_iter(&bytes).filter_map(Result::ok);
    let inspected = |der: CertificateDer<'_>| {
        let (_, certificate) = X509Certificate::from_der(&der).ok()?;
        Some(Inspected {
            subject: certificate.subject().to_string(),
            not_before: time(certificate.validity().not_before.timestamp()),
            not_after: time(certificate.validity().not_after.timestamp()),
            weak_key: weak_key(&certificate),
            weak_hash: weak_hash(&certificate),
        })
    };
    all.filter_map(inspected).collect()
}

fn time(seconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).unwrap_or_default())
}

/// 112 bits of strength are the least that NIST SP 800-57 allows: 2048 bits of RSA, 224 of an elliptic curve.
fn weak_key(certificate: &X509Certificate<'_>) -> Option<String> {
    let (kind, bits, least) = match certificate.public_key().parsed().ok()? {
        PublicKey::RSA(key) => ("RSA", key.key_size(), 2048),
        PublicKey::EC(key) => ("ECDSA", key.key_size(), 224),
        PublicKey::DSA(_) => return Some("DSA".to_owned()),
        _ => return None,
    };
    (bits < least).then(|| format!("{kind} of {bits} bits"))
}

/// Nobody verifies the signature of a root, which is trusted for being there.
fn weak_hash(certificate: &X509Certificate<'_>) -> Option<&'static str> {
    const WEAK: [(&str, &str); 4] = [
        ("1.2.840.113549.1.1.2", "MD2"),
        ("1.2.840.113549.1.1.4", "MD5"),
        ("1.2.840.113549.1.1.5", "SHA-1"),
        ("1.2.840.10045.4.1", "SHA-1"),
    ];
    if certificate.subject().as_raw() == certificate.issuer().as_raw() {
        return None;
    }
    let algorithm = certificate.signature_algorithm.algorithm.to_id_string();
    WEAK.into_iter().find(|(known, _)| *known == algorithm).map(|(_, hash)| hash)
}
