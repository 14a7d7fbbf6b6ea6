use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::config::spec::UnknownSni;
use crate::config::{ClientAuth, ListenerTls};

use super::certificate::Certificate;
use super::client_auth::{PolicyId, Proof};
use super::keyring::Keyring;
use super::policy::{Common, Policies, Policy};
use super::termination::Surroundings;
use super::{Clock, Problem, coverage};

/// What the files of a listener's TLS held when they were read.
#[derive(Debug)]
pub(super) struct State {
    pub(super) certificates: Vec<Certificate>,
    pub(super) policies: Policies,
    /// The ids of the policies, each with the file of its authorities, in the order of the configuration.
    pub(super) authorities: Vec<(PathBuf, PolicyId)>,
    keyring: Arc<Keyring>,
    unknown: UnknownSni,
}

impl State {
    /// Reads and checks all files, to serve them after `former`. The problems are all errors and warnings, or warnings
    /// only.
    pub(super) fn read(
        config: &ListenerTls,
        surroundings: &Surroundings,
        former: Option<&Self>,
    ) -> Result<(Self, Vec<Problem>), Vec<Problem>> {
        let mut problems = Vec::new();
        let read = Files::read(config, &surroundings.clock, former, &mut problems);
        let Some(files) = read.filter(|_| !problems.iter().any(|problem| problem.is_error)) else {
            return Err(problems);
        };
        match files.into_state(config, surroundings) {
            Ok(state) => Ok((state, problems)),
            Err(error) => {
                problems.push(Problem::error(
                    config.client_auth.at.clone(),
                    format!("TLS cannot be set up: {error}"),
                ));
                Err(problems)
            }
        }
    }

    /// Whether clients that name this host, or none, are served.
    pub(super) fn knows(&self, host: Option<&str>) -> bool {
        self.unknown == UnknownSni::Default || host.is_some_and(|host| self.keyring.holds(host))
    }
}

/// What was read, before it is put together.
struct Files {
    certificates: Vec<Certificate>,
    default: Proof,
    hosts: Vec<Proof>,
}

impl Files {
    /// Everything is read, whatever fails, so that all problems come at once.
    fn read(
        config: &ListenerTls,
        clock: &Clock,
        former: Option<&State>,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let now = clock.now();
        let certificates = config.certificates.iter().enumerate();
        let read = |(index, named)| {
            let served = former.and_then(|former| former.certificates.get(index));
            Certificate::read(named, index == 0, served, now, problems)
        };
        let certificates: Vec<_> = certificates.map(read).collect();
        let default = Proof::read(&config.client_auth, now, problems);
        let hosts: Vec<_> = config.hosts.iter().map(|(_, auth)| Proof::read(auth, now, problems)).collect();
        // Without all certificates nobody knows which names are missing.
        let certificates: Vec<_> = certificates.into_iter().collect::<Option<_>>()?;
        problems.extend(coverage::overlaps(&certificates));
        problems.extend(coverage::missing(&config.hosts, &certificates));
        Some(Self { certificates, default: default?, hosts: hosts.into_iter().collect::<Option<_>>()? })
    }

    fn into_state(self, config: &ListenerTls, surroundings: &Surroundings) -> Result<State, rustls::Error> {
        let keyring = Arc::new(Keyring::new(&self.certificates));
        let common = Common {
            keyring: keyring.clone(),
            min_version: config.min_version,
            http: surroundings.http.clone(),
            tickets: surroundings.tickets.clone(),
            clock: surroundings.clock.clone(),
        };
        let default = Policy::new(&self.default, &common)?;
        let mut hosts = Vec::with_capacity(self.hosts.len());
        for ((host, _), proof) in config.hosts.iter().zip(&self.hosts) {
            hosts.push((host.clone(), Policy::new(proof, &common)?));
        }
        let auths = std::iter::once(&config.client_auth).chain(config.hosts.iter().map(|(_, auth)| auth));
        let proofs = std::iter::once(&self.default).chain(&self.hosts);
        let authorities = auths.zip(proofs).filter_map(|(auth, proof)| Some((auth.ca.clone()?, proof.id)));
        Ok(State {
            authorities: authorities.collect(),
            policies: Policies::new(default, hosts),
            certificates: self.certificates,
            keyring,
            unknown: config.unknown_sni,
        })
    }
}

/// The files that a configuration names, each once.
pub(super) fn files(config: &ListenerTls) -> Vec<PathBuf> {
    let certificates = config.certificates.iter();
    let certificates =
        certificates.flat_map(|named| [Some(&named.cert), Some(&named.key), named.ocsp.as_ref()]);
    let authorities = config.hosts.iter().map(|(_, auth)| auth).chain([&config.client_auth]);
    let authorities = authorities.map(|auth: &ClientAuth| auth.ca.as_ref());
    let mut files: Vec<_> =
        certificates.chain(authorities).flatten().map(|file| Path::to_owned(file)).collect();
    files.sort();
    files.dedup();
    files
}
