use std::{fs, path::Path};

use rcgen::CertifiedKey;
use rustls::{RootCertStore, pki_types::CertificateDer};

use crate::{request::HOST, support::Outcome};

/// A certificate of the host with an ECDSA key on P-256, made for this run and signed by itself.
#[derive(Debug)]
pub(crate) struct Certificate(CertificateDer<'static>);

impl Certificate {
    /// Makes it, and writes it into `dir`: `site.pem`, `site.key`, and both in `site-and-key.pem`, as HAProxy has it.
    pub(crate) fn make(dir: &Path) -> Outcome<Self> {
        let CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
        let key = signing_key.serialize_pem();
        fs::write(dir.join("site.pem"), cert.pem())?;
        fs::write(dir.join("site.key"), &key)?;
        fs::write(dir.join("site-and-key.pem"), cert.pem() + &key)?;
        Ok(Self(cert.der().clone()))
    }

    /// For clients, to trust this one alone.
    pub(super) fn roots(&self) -> Outcome<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.clone())?;
        Ok(roots)
    }
}
