use std::fmt;
use std::path::Path;
use std::sync::Arc;

use tokio::time::Instant;

use crate::config::spec::SecretSpec;
use crate::hooks::{BuildCx, BuildError};

use super::file::FileKeys;
use super::fresh::FreshKeys;
use super::keys::KeySet;
use super::last_set::LastSet;
use super::place::Place;
use super::refusal::Refusal;
use super::token::Token;
use super::{JwksSettings, JwtAlgorithm, JwtKeysSettings};

/// Where the keys come from that tokens are verified with.
#[derive(Debug)]
pub(super) enum KeySource {
    Secret(KeySet),
    File(FileKeys),
    Server(Arc<FreshKeys>),
}

/// Why a token could not be verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unverified {
    Refused(Refusal),
    /// There is no key to verify it with, and has never been one.
    NoKeys,
}

impl KeySource {
    pub(super) fn build(
        settings: &JwtKeysSettings,
        algorithms: &[JwtAlgorithm],
        cx: &BuildCx<'_>,
    ) -> Result<Self, BuildError> {
        let takes_secret = takes_secret(algorithms).map_err(|error| error.at("algorithms"))?;
        let source = match (&settings.secret, &settings.file, &settings.jwks) {
            (Some(_), None, None) if !takes_secret => {
                Err(BuildError::new("a `secret` is for HS256, HS384 and HS512; others have public keys")
                    .with_help("write `file` or `jwks`"))
            }
            (None, Some(_), None) | (None, None, Some(_)) if takes_secret => {
                Err(BuildError::new("HS256, HS384 and HS512 take a `secret`, and no keys that are published"))
            }
            (Some(secret), None, None) => {
                read_secret(secret, algorithms, cx).map_err(|error| error.at("secret"))
            }
            (None, Some(file), None) => {
                let keys = FileKeys::watch(file, algorithms, cx).map_err(|error| error.at("file"));
                keys.map(Self::File)
            }
            (None, None, Some(jwks)) => fetch(jwks, algorithms, cx).map_err(|error| error.at("jwks")),
            _ => Err(BuildError::new("exactly one of `secret`, `file` and `jwks` has to be there")),
        };
        source.map_err(|error| error.at("keys"))
    }

    /// Whether one of the keys has signed the token. Waits where keys are being fetched that might have.
    pub(super) async fn verify(&self, token: &Token<'_>, now: Instant) -> Result<(), Unverified> {
        match self {
            Self::Secret(keys) => keys.verify(token).map_err(Unverified::Refused),
            Self::File(keys) => keys.get().verify(token).map_err(Unverified::Refused),
            Self::Server(keys) => keys.verify(token, now).await,
        }
    }
}

/// Whether the algorithms are those with a secret. Those with one and those without may not be mixed, so that nobody can
/// have a public key be taken for a secret (RFC 8725 §2.1).
fn takes_secret(algorithms: &[JwtAlgorithm]) -> Result<bool, BuildError> {
    let secrets = algorithms.iter().filter(|algorithm| algorithm.hmac().is_some()).count();
    if secrets != 0 && secrets != algorithms.len() {
        return Err(BuildError::new("algorithms with a secret (HS…) and with public keys cannot be mixed")
            .with_help("write two routes"));
    }
    Ok(secrets != 0)
}

/// RFC 7518 §3.2: as many bytes as the hash, or more.
fn read_secret(
    spec: &SecretSpec,
    algorithms: &[JwtAlgorithm],
    cx: &BuildCx<'_>,
) -> Result<KeySource, BuildError> {
    let secret = spec.read(&cx.path(Path::new(""))).map_err(BuildError::new)?;
    let needed = algorithms.iter().map(|algorithm| algorithm.secret_length()).max().unwrap_or_default();
    if secret.len() < needed {
        let found = secret.len();
        return Err(BuildError::new(format!("the secret has {found} bytes; {needed} or more are needed"))
            .with_help("make one with: openssl rand -hex 32"));
    }
    Ok(KeySource::Secret(KeySet::of_secret(&secret, algorithms)))
}

fn fetch(
    settings: &JwksSettings,
    algorithms: &[JwtAlgorithm],
    cx: &BuildCx<'_>,
) -> Result<KeySource, BuildError> {
    settings.check()?;
    let place = Place::build(settings, cx)?;
    // By where the set is had from alone: other times of fetching make no other keys.
    let from = format!("{place} {:?} {:?}", settings.host, settings.ca);
    let last = cx.share_exported(&format!("last jwks {from}"), LastSet::default);
    let JwksSettings { refresh, min_refresh, timeout, max_age, .. } = settings;
    let name = format!("jwks {from} {refresh} {min_refresh} {timeout} {max_age:?} {algorithms:?}");
    let fresh = || FreshKeys::new(place, settings.clone(), algorithms.to_vec(), last);
    Ok(KeySource::Server(cx.job(&name, fresh)))
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("a secret"),
            Self::File(_) => f.write_str("the keys of a file"),
            Self::Server(keys) => write!(f, "the keys of {keys}"),
        }
    }
}
