use async_trait::async_trait;
use bytes::Bytes;
use http::Request;
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::{FetchError, FetchLimits, Fetched};

/// Sends requests of the edge's own to servers that are no endpoints of a pool, but are named by a URL.
#[async_trait]
pub(crate) trait FetchUrl: Send + Sync {
    /// The answer of the server that the request's URI names, whose addresses are looked up for this request, over a connection
    /// for it alone. Servers of `https:` are verified by these authorities, or by those that this machine trusts. Redirects are
    /// not followed.
    async fn fetch_url(
        &self,
        request: Request<Bytes>,
        authorities: Option<&Authorities>,
        limits: FetchLimits,
    ) -> Result<Fetched, FetchError>;
}

/// Certificates of authorities, which were found to be sound.
#[derive(Debug)]
pub(crate) struct Authorities(Vec<CertificateDer<'static>>);

impl Authorities {
    /// Reads a file in PEM.
    ///
    /// # Errors
    /// When there is none in it, or one that cannot be an authority's.
    pub(crate) fn parse(pem: &[u8]) -> Result<Self, String> {
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
        let all = read.map_err(|error| format!("it is not in PEM: {error}"))?;
        if all.is_empty() {
            return Err("there is no certificate in it".to_owned());
        }
        let mut roots = RootCertStore::empty();
        for certificate in &all {
            let is_sound = X509Certificate::from_der(certificate).is_ok();
            if !is_sound || roots.add(certificate.clone()).is_err() {
                return Err("a certificate in it is no authority's".to_owned());
            }
        }
        Ok(Self(all))
    }

    pub(crate) fn certificates(&self) -> &[CertificateDer<'static>] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_certificates_in_pem_are_authorities() {
        let broken = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
        for (pem, words) in [
            ("", "no certificate"),
            ("text", "no certificate"),
            ("-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n", "not in PEM"),
            (broken, "no authority's"),
        ] {
            let error = Authorities::parse(pem.as_bytes()).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
