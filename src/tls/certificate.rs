use std::path::PathBuf;
use std::sync::Arc;
use std::time::SystemTime;

use rustls::InconsistentKeys;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::{CertificateFiles, KeyPath};
use crate::types::HostPattern;

use super::private_key::KeyKind;
use super::problem::keep;
use super::{Problem, checks, files, ocsp, private_key};

/// A certificate that can be shown to clients.
#[derive(Debug)]
pub(super) struct Certificate {
    /// What the handshake takes: chain, key and OCSP response.
    pub(super) shown: Arc<CertifiedKey>,
    pub(super) kind: KeyKind,
    /// The host names that it holds; a wildcard stands for one label.
    pub(super) names: Vec<HostPattern>,
    pub(super) not_after: SystemTime,
    pub(super) file: PathBuf,
    /// Where its file is named.
    pub(super) at: KeyPath,
}

/// What is known of a certificate, for those who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CertificateInfo {
    /// Host names, in lower case; `*.example.com` stands for one label.
    pub(crate) names: Vec<String>,
    pub(crate) not_after: SystemTime,
    /// The kind of its key, such as `ECDSA`.
    pub(crate) key: &'static str,
    pub(crate) file: PathBuf,
}

impl Certificate {
    /// Reads and checks the files of a certificate. It is there when it could be read, with whatever problems. When
    /// they are read again, that the one that is `served` has expired, or an OCSP response is of no use, is a warning: it
    /// holds up no renewal.
    pub(super) fn read(
        named: &CertificateFiles,
        is_default: bool,
        served: Option<&Self>,
        now: SystemTime,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let at = named.at.child("cert");
        let chain = keep(files::certificates(&named.cert, &at), problems);
        let key = keep(private_key::read(&named.key, &named.at.child("key")), problems);
        let chain = chain?;
        let parsed = keep(parse(&chain, named, &at), problems)?;
        let leaf = &parsed[0];
        let names = checks::names(leaf);
        let is_served = served.is_some_and(|served| served.shown.cert == chain);
        let dates = checks::dates(leaf, &named.cert, &at, now);
        let found = [
            if is_served { dates.map(Problem::into_warning) } else { dates },
            checks::holds_names(leaf, &names, is_default, &named.cert, &at),
            checks::chain(&parsed, &named.cert, &at),
        ];
        problems.extend(found.into_iter().flatten());
        let staple = named.ocsp.as_ref().and_then(|path| {
            let staple = ocsp::read(path, leaf, &named.at.child("ocsp"), now);
            // A renewal goes without, until the response follows.
            let staple = if served.is_some() { staple.map_err(Problem::into_warning) } else { staple };
            let staple = keep(staple, problems)?;
            problems.extend(staple.warning);
            staple.response
        });
        let not_after = checks::not_after(leaf);
        let (kind, key) = key?;
        keep(check_key(&chain, &key, named), problems)?;
        let shown = Arc::new(CertifiedKey { ocsp: staple, ..CertifiedKey::new(chain, key) });
        Some(Self { shown, kind, names, not_after, file: named.cert.clone(), at })
    }

    pub(super) fn info(&self) -> CertificateInfo {
        CertificateInfo {
            names: self.names.iter().map(ToString::to_string).collect(),
            not_after: self.not_after,
            key: self.kind.as_str(),
            file: self.file.clone(),
        }
    }
}

/// The file's certificates, the leaf first.
pub(super) fn parse<'c>(
    chain: &'c [CertificateDer<'static>],
    named: &CertificateFiles,
    at: &KeyPath,
) -> Result<Vec<X509Certificate<'c>>, Problem> {
    let broken = |index: usize| {
        let message = format!("certificate {} of `{}` is broken", index + 1, named.cert.display());
        Problem::error(at.clone(), message)
    };
    let parse = |(index, der): (usize, &'c CertificateDer<'static>)| {
        X509Certificate::from_der(der).map(|(_, certificate)| certificate).map_err(|_| broken(index))
    };
    chain.iter().enumerate().map(parse).collect()
}

/// That the key is the one of the first certificate.
pub(super) fn check_key(
    chain: &[CertificateDer<'static>],
    key: &Arc<dyn SigningKey>,
    named: &CertificateFiles,
) -> Result<(), Problem> {
    let matches =
        |der: &CertificateDer<'static>| CertifiedKey::new(vec![der.clone()], key.clone()).keys_match();
    let (cert, private) = (named.cert.display(), named.key.display());
    match matches(&chain[0]) {
        Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            let problem = Problem::error(
                named.at.child("key"),
                format!("the key in `{private}` is not that of the certificate in `{cert}`"),
            );
            Err(match chain.iter().position(|der| matches(der).is_ok()) {
                Some(place) => problem.help(format!(
                    "it is that of the file's certificate {}; that one comes first",
                    place + 1
                )),
                None => problem,
            })
        }
        Err(error) => {
            let message = format!("the certificate in `{cert}` cannot be used: {error}");
            Err(Problem::error(named.at.child("cert"), message))
        }
    }
}
