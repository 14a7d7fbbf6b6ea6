use std::fs;
use std::path::Path;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use crate::config::KeyPath;

use super::Problem;

/// The contents of a file that the configuration names at `at`.
pub(super) fn read(path: &Path, at: &KeyPath) -> Result<Vec<u8>, Problem> {
    fs::read(path)
        .map_err(|error| Problem::error(at.clone(), format!("`{}` cannot be read: {error}", path.display())))
}

/// The certificates of a PEM file in their order; one or more.
pub(super) fn certificates(path: &Path, at: &KeyPath) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let bytes = read(path, at)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
    let no_pem = |reason: &str| {
        Problem::error(at.clone(), format!("`{}` {reason}", path.display()))
            .help("a certificate in PEM begins with the line -----BEGIN CERTIFICATE-----")
    };
    match found {
        Ok(certificates) if certificates.is_empty() => Err(no_pem("has no certificate in PEM")),
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(no_pem(&format!("is not valid PEM: {error}"))),
    }
}
