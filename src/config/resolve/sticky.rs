use crate::config::spec::{SameSite, SecretSpec, StickySpec};
use crate::config::{KeyPath, Secret, Sticky};
use crate::types::HostPattern;

use super::Resolver;

/// Fewer bytes could be guessed.
const SHORTEST_SECRET: usize = 16;

impl Resolver<'_> {
    pub(super) fn sticky(&mut self, spec: StickySpec, at: &KeyPath) -> Option<Sticky> {
        if let Some(domain @ HostPattern::Wildcard(_)) = &spec.domain {
            let message =
                format!("`{domain}` is not one domain; a cookie for a domain is for all below it anyway");
            self.error(&at.child("domain"), message).help("write the domain without the `*.`");
        }
        if spec.ttl.is_some_and(|ttl| ttl.get().as_secs() == 0) {
            self.error(&at.child("ttl"), "a cookie that lives for less than a second brings nobody back")
                .help("write 1s or more, or remove the key");
        }
        if spec.same_site == SameSite::None {
            self.warning(&at.child("same_site"), "clients drop such a cookie where they came without TLS");
        }
        let secret = match spec.secret {
            Some(secret) => Some(self.secret(&secret, &at.child("secret"))?),
            None => None,
        };
        let StickySpec { cookie, ttl, path, domain, same_site, .. } = spec;
        Some(Sticky { cookie, ttl, path, domain, same_site, secret })
    }

    /// A secret that nobody guesses; one that is none is reported.
    pub(super) fn secret(&mut self, spec: &SecretSpec, at: &KeyPath) -> Option<Secret> {
        let bytes = self.secret_bytes(spec, at)?;
        if bytes.len() < SHORTEST_SECRET {
            let message =
                format!("the secret has {} bytes; {SHORTEST_SECRET} or more are needed", bytes.len());
            self.error(at, message).help("make one with: openssl rand -hex 32");
            return None;
        }
        Some(Secret(bytes.into()))
    }

    /// A secret of any length; what cannot be had is reported.
    pub(super) fn secret_bytes(&mut self, spec: &SecretSpec, at: &KeyPath) -> Option<Vec<u8>> {
        match spec.read(self.base) {
            Ok(bytes) => Some(bytes),
            Err(message) => {
                self.error(at, message);
                None
            }
        }
    }
}
