use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use rustls::CertificateError;
use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::hooks::ClientCert;

use super::checks::not_after;
use super::der::{hex, trim_zeros};
use super::distinguished_name;
use super::printable::push_escaped;

/// What hooks see of a certificate, which was verified.
pub(super) fn describe(der: &CertificateDer<'_>) -> Result<ClientCert, rustls::Error> {
    let broken = || rustls::Error::InvalidCertificate(CertificateError::BadEncoding);
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| broken())?;
    let sans = certificate.subject_alternative_name().map_err(|_| broken())?;
    let sans = sans.map(|names| names.value.general_names.iter().filter_map(name).collect());
    Ok(ClientCert {
        subject: distinguished_name::write(certificate.subject()),
        sans: sans.unwrap_or_default(),
        fingerprint: hex(digest(&SHA256, der).as_ref()),
        serial: hex(trim_zeros(certificate.raw_serial())),
        not_after: not_after(&certificate),
    })
}

fn name(name: &GeneralName<'_>) -> Option<String> {
    let (kind, text) = match name {
        GeneralName::DNSName(host) => ("DNS:", *host),
        GeneralName::URI(uri) => ("URI:", *uri),
        GeneralName::RFC822Name(address) => ("email:", *address),
        GeneralName::IPAddress(bytes) => return address(bytes).map(|address| format!("IP:{address}")),
        _ => return None,
    };
    let mut written = kind.to_owned();
    text.bytes().for_each(|byte| push_escaped(&mut written, byte, b",\\"));
    Some(written)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
