use std::path::Path;
use std::time::SystemTime;

use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::config::{CertificateFiles, KeyPath, UpstreamTls};

use super::certificate::{check_key, parse};
use super::client_auth::{read_authorities, roots};
use super::problem::keep;
use super::{Clock, Problem, checks, files, private_key};

/// What the files of a pool's TLS held.
#[derive(Debug)]
pub(crate) struct UpstreamFiles {
    /// `None` for the authorities that this machine trusts.
    pub(crate) authorities: Option<Vec<CertificateDer<'static>>>,
    pub(crate) identity: Option<Identity>,
    /// What does not keep the pool from being served.
    pub(crate) warnings: Vec<Problem>,
}

/// A certificate with its chain, and the private key that belongs to it.
type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

impl UpstreamFiles {
    /// Reads and checks the files.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub(crate) fn load(config: &UpstreamTls, clock: &Clock) -> Result<Self, Vec<Problem>> {
        let now = clock.now();
        let mut problems = Vec::new();
        let authorities = config.ca.as_deref().map(|ca| {
            let read = authorities(ca, &config.at.child("ca"), now, &mut problems);
            keep(read, &mut problems)
        });
        let identity = config.identity.as_ref().map(|(cert, key)| {
            let (cert, key) = (cert.clone(), key.clone());
            let named = CertificateFiles { cert, key, ocsp: None, at: config.at.clone() };
            identity(&named, now, &mut problems)
        });
        if problems.iter().any(|problem| problem.is_error) {
            return Err(problems);
        }
        Ok(Self { authorities: authorities.flatten(), identity: identity.flatten(), warnings: problems })
    }
}

fn authorities(
    file: &Path,
    at: &KeyPath,
    now: SystemTime,
    problems: &mut Vec<Problem>,
) -> Result<Vec<CertificateDer<'static>>, Problem> {
    let authorities = read_authorities(file, at, now, problems)?;
    roots(&authorities, file, at)?;
    Ok(authorities)
}

fn identity(named: &CertificateFiles, now: SystemTime, problems: &mut Vec<Problem>) -> Option<Identity> {
    let at = named.at.child("cert");
    let chain = keep(files::certificates(&named.cert, &at), problems);
    let key_at = named.at.child("key");
    let key = keep(private_key::read_der(&named.key, &key_at), problems);
    let chain = chain?;
    let parsed = keep(parse(&chain, named, &at), problems)?;
    let found = [checks::dates(&parsed[0], &named.cert, &at, now), checks::chain(&parsed, &named.cert, &at)];
    problems.extend(found.into_iter().flatten());
    let key = key?;
    let (_, signing) = keep(private_key::signing(&key, &named.key, &key_at), problems)?;
    keep(check_key(&chain, &signing, named), problems)?;
    Some((chain, key))
}
