use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use aws_lc_rs::digest::{Context, SHA256, digest};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::spec::ClientAuthMode;
use crate::config::{ClientAuth, KeyPath};

use super::checks::{date, not_after};
use super::provider::provider;
use super::{Problem, files};

/// Tells apart what clients have to prove: whether they show a certificate, and who may have signed it. The same rules
/// have the same id, also in another process.
///
/// Neither a session ticket nor a request may cross from one to another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PolicyId([u8; 32]);

impl PolicyId {
    fn new(mode: ClientAuthMode, authorities: &[CertificateDer<'_>]) -> Self {
        let mut digests: Vec<_> = authorities.iter().map(|der| digest(&SHA256, der)).collect();
        digests.sort_unstable_by(|one, other| one.as_ref().cmp(other.as_ref()));
        let mut all = Context::new(&SHA256);
        all.update(match mode {
            ClientAuthMode::Off => b"off",
            ClientAuthMode::Optional => b"optional",
            ClientAuthMode::Require => b"require",
        });
        digests.iter().for_each(|digest| all.update(digest.as_ref()));
        let mut id = [0; 32];
        id.copy_from_slice(all.finish().as_ref());
        Self(id)
    }

    pub(super) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// What clients have to prove.
#[derive(Clone, Debug)]
pub(super) struct Proof {
    pub(super) id: PolicyId,
    pub(super) mode: ClientAuthMode,
    /// `None` when they are not asked.
    pub(super) verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl Proof {
    /// Reads and checks the authorities.
    pub(super) fn read(auth: &ClientAuth, now: SystemTime, problems: &mut Vec<Problem>) -> Option<Self> {
        let at = auth.at.child("ca");
        let authorities = match (auth.mode, &auth.ca) {
            (ClientAuthMode::Off, _) => {
                let id = PolicyId::new(ClientAuthMode::Off, &[]);
                return Some(Self { id, mode: ClientAuthMode::Off, verifier: None });
            }
            // The configuration was refused for this already.
            (_, None) => return None,
            (_, Some(file)) => read_authorities(file, &at, now, problems)
                .and_then(|authorities| Ok((verifier(auth.mode, &authorities, file, &at)?, authorities))),
        };
        match authorities {
            Ok((verifier, authorities)) => {
                let id = PolicyId::new(auth.mode, &authorities);
                Some(Self { id, mode: auth.mode, verifier: Some(verifier) })
            }
            Err(problem) => {
                problems.push(problem);
                None
            }
        }
    }
}

/// An authority that expired is a warning: its certificates are refused, those of the others are not.
pub(super) fn read_authorities(
    file: &Path,
    at: &KeyPath,
    now: SystemTime,
    problems: &mut Vec<Problem>,
) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let authorities = files::certificates(file, at)?;
    for (index, der) in authorities.iter().enumerate() {
        let place = index + 1;
        let Ok((_, authority)) = X509Certificate::from_der(der) else {
            return Err(Problem::error(
                at.clone(),
                format!("certificate {place} of `{}` is broken", file.display()),
            ));
        };
        let until = not_after(&authority);
        if until < now {
            let subject = authority.subject();
            let message =
                format!("the authority `{subject}` in `{}` expired on {}", file.display(), date(until));
            problems.push(Problem::warning(at.clone(), message));
        }
    }
    Ok(authorities)
}

/// What trusts these authorities alone.
pub(super) fn roots(
    authorities: &[CertificateDer<'static>],
    file: &Path,
    at: &KeyPath,
) -> Result<RootCertStore, Problem> {
    let mut roots = RootCertStore::empty();
    for authority in authorities {
        roots.add(authority.clone()).map_err(|error| unusable(file, at, &error))?;
    }
    Ok(roots)
}

fn unusable(file: &Path, at: &KeyPath, error: &dyn std::fmt::Display) -> Problem {
    Problem::error(at.clone(), format!("the authorities in `{}` cannot be used: {error}", file.display()))
}

fn verifier(
    mode: ClientAuthMode,
    authorities: &[CertificateDer<'static>],
    file: &Path,
    at: &KeyPath,
) -> Result<Arc<dyn ClientCertVerifier>, Problem> {
    let roots = roots(authorities, file, at)?;
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider());
    let builder = if mode == ClientAuthMode::Optional { builder.allow_unauthenticated() } else { builder };
    builder.build().map_err(|error| unusable(file, at, &error))
}
