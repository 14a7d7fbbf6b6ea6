use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

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

    fn secret(&mut self, spec: &SecretSpec, at: &KeyPath) -> Option<Secret> {
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
        let bytes = match spec {
            SecretSpec::Text(text) => Ok(text.clone().into_bytes()),
            SecretSpec::Env(name) => std::env::var_os(name)
                .map(OsStringExt::into_vec)
                .ok_or_else(|| format!("the environment variable `{name}` is not set")),
            SecretSpec::File(path) => {
                let path = self.base.join(path);
                read_secret(&path)
                    .map_err(|error| format!("the file `{}` cannot be read: {error}", path.display()))
            }
        };
        match bytes {
            Ok(bytes) => Some(bytes),
            Err(message) => {
                self.error(at, message);
                None
            }
        }
    }
}

/// Reads a secret from its file, without the line end that a text file has.
///
/// # Errors
/// When the file cannot be read.
pub(crate) fn read_secret(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = fs::read(path)?;
    while bytes.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
        bytes.pop();
    }
    Ok(bytes)
}
