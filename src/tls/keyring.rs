use std::collections::HashMap;
use std::sync::Arc;

use foldhash::fast::RandomState;
use rustls::SignatureScheme;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use smallvec::SmallVec;

use crate::types::HostPattern;

use super::certificate::Certificate;
use super::hello::without_dot;
use super::private_key::KeyKind;

/// The certificates of a listener by server name. A look-up neither locks nor allocates.
#[derive(Debug)]
pub(super) struct Keyring {
    exact: HashMap<Box<str>, Choice, RandomState>,
    /// By what follows the first label, with its leading dot.
    wildcard: HashMap<Box<str>, Choice, RandomState>,
    /// For clients that name no known host.
    default: Choice,
}

/// The certificates for one name, at most one for each kind of key, the best kind first.
#[derive(Clone, Debug, Default)]
struct Choice(SmallVec<[(KeyKind, Arc<CertifiedKey>); 2]>);

impl Keyring {
    /// Of certificates that hold the same name with the same kind of key, the first is used.
    pub(super) fn new(certificates: &[Certificate]) -> Self {
        let mut ring =
            Self { exact: HashMap::default(), wildcard: HashMap::default(), default: Choice::default() };
        for certificate in certificates {
            for name in &certificate.names {
                let (map, key) = match name {
                    HostPattern::Exact(name) => (&mut ring.exact, name),
                    HostPattern::Wildcard(suffix) => (&mut ring.wildcard, suffix),
                };
                map.entry(key.as_str().into()).or_default().add(certificate);
            }
        }
        if let Some(first) = certificates.first() {
            ring.default.add(first);
            // Its siblings with another kind of key serve whoever it serves.
            let siblings = first
                .names
                .first()
                .map(|name| certificates.iter().filter(|other| other.names.contains(name)));
            siblings.into_iter().flatten().for_each(|sibling| ring.default.add(sibling));
        }
        ring
    }

    /// Whether a certificate holds this host, which is in lower case.
    pub(super) fn holds(&self, host: &str) -> bool {
        self.exact.contains_key(host) || self.by_wildcard(host).is_some()
    }

    fn by_wildcard(&self, host: &str) -> Option<&Choice> {
        let dot = host.find('.').filter(|&dot| dot > 0)?;
        self.wildcard.get(&host[dot..])
    }

    /// The certificate for a host, an exact name before a wildcard, that fits what the client can verify.
    fn choose(&self, host: Option<&str>, schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        let host = host.map(without_dot);
        let exact = host.and_then(|host| self.exact.get(host));
        let wildcard = host.and_then(|host| self.by_wildcard(host));
        let default = (exact.is_none() && wildcard.is_none()).then_some(&self.default);
        let mut choices = [exact, wildcard, default].into_iter().flatten();
        // One that does not fit makes rustls tell the client so.
        let or_else = choices.clone().next().and_then(Choice::best);
        choices.find_map(|choice| choice.fitting(schemes)).or(or_else).cloned()
    }
}

impl ResolvesServerCert for Keyring {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.choose(hello.server_name(), hello.signature_schemes())
    }
}

impl Choice {
    fn add(&mut self, certificate: &Certificate) {
        if let Err(place) = self.0.binary_search_by_key(&certificate.kind, |(kind, _)| *kind) {
            self.0.insert(place, (certificate.kind, certificate.shown.clone()));
        }
    }

    fn best(&self) -> Option<&Arc<CertifiedKey>> {
        self.0.first().map(|(_, certificate)| certificate)
    }

    fn fitting(&self, schemes: &[SignatureScheme]) -> Option<&Arc<CertifiedKey>> {
        let mut certificates = self.0.iter().map(|(_, certificate)| certificate);
        certificates.find(|certificate| certificate.key.choose_scheme(schemes).is_some())
    }
}
