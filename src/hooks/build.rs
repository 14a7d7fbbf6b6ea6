use std::fmt;

use crate::types::{PoolName, closest};

/// What a hook's build function may ask about the configuration that it is built into.
#[derive(Clone, Copy, Debug)]
pub struct BuildCx<'a> {
    pools: &'a [PoolName],
    ipv6_prefix: u8,
}

/// A pool of the configuration that the hook was built into; valid for that configuration only, which is safe
/// because hooks are built anew with each configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolRef(pub(crate) usize);

/// Why a hook cannot be built from its settings. It becomes a diagnostic at the place of the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildError {
    key: Vec<String>,
    message: String,
    help: Option<String>,
}

impl<'a> BuildCx<'a> {
    pub(crate) fn new(pools: &'a [PoolName], ipv6_prefix: u8) -> Self {
        Self { pools, ipv6_prefix }
    }

    /// Looks up a pool by name, so that a hook can send requests there with [`FilterCx::set_pool`].
    ///
    /// # Errors
    /// When the configuration has no pool of that name; the error names the closest one.
    ///
    /// [`FilterCx::set_pool`]: super::FilterCx::set_pool
    pub fn pool(&self, name: &str) -> Result<PoolRef, BuildError> {
        if let Some(index) = self.pools.iter().position(|pool| pool.as_str() == name) {
            return Ok(PoolRef(index));
        }
        let error = BuildError::new(format!("no pool named `{name}`"));
        Err(match closest(name, self.pools.iter().map(PoolName::as_str)) {
            Some(near) => error.with_help(format!("did you mean `{near}`?")),
            None => error,
        })
    }

    /// How many bits of an IPv6 address stand for one client (`server.http_client_id.ipv6_prefix`).
    pub fn ipv6_prefix(&self) -> u8 {
        self.ipv6_prefix
    }
}

impl BuildError {
    /// An error about the settings as a whole; `message` is lower case, says what was found and what is allowed.
    pub fn new(message: impl fmt::Display) -> Self {
        Self { key: Vec::new(), message: message.to_string(), help: None }
    }

    /// The same error about one key of the settings; a key inside a key is given by several calls, inner first.
    #[must_use]
    pub fn at(mut self, key: impl fmt::Display) -> Self {
        self.key.insert(0, key.to_string());
        self
    }

    /// The same error with the likely fix.
    #[must_use]
    pub fn with_help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(help.to_string());
        self
    }

    pub(crate) fn into_parts(self) -> (Vec<String>, String, Option<String>) {
        (self.key, self.message, self.help)
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for BuildError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_pool_names_its_likely_meaning() {
        let pools = ["api".parse().unwrap(), "static".parse().unwrap()];
        let cx = BuildCx::new(&pools, 64);
        assert_eq!(cx.pool("static"), Ok(PoolRef(1)));
        let (_, message, help) = cx.pool("apii").unwrap_err().into_parts();
        assert_eq!(message, "no pool named `apii`");
        assert_eq!(help.as_deref(), Some("did you mean `api`?"));
        assert_eq!(cx.pool("zzz").unwrap_err().into_parts().2, None);
    }
}
