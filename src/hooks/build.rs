use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use crate::cache::Cache;
use crate::stores::Redis;
use crate::types::{ByteSize, CacheName, PoolName, StoreName, closest};

use super::keep::{Keeper, Keeping, KeptStanding, Scope};
use super::watched::{Read, WatchedFile};
use super::{Export, Job, PoolClient, ReadFile, TakeFile, Watched};

/// Larger files are surely not meant, where nothing else is said.
const USUAL_SIZE: ByteSize = ByteSize::from_mib(16);

/// What a hook's build function may ask about the configuration that it is built into.
#[derive(Clone, Copy, Debug)]
pub struct BuildCx<'a> {
    pools: &'a [PoolName],
    /// By pool; empty where none can be asked for yet.
    clients: &'a [PoolClient],
    caches: &'a [Arc<Cache>],
    ipv6_prefix: u8,
    stores: &'a [Arc<Redis>],
    /// None where there is no configuration before and after this one.
    keeper: Option<Keeper<'a>>,
    /// Where relative paths start.
    folder: &'a Path,
    warnings: Option<&'a Mutex<Vec<String>>>,
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
        Self {
            pools,
            clients: &[],
            caches: &[],
            ipv6_prefix,
            stores: &[],
            keeper: None,
            folder: Path::new(""),
            warnings: None,
        }
    }

    /// The same in a configuration whose relative paths start at `folder`.
    pub(crate) fn in_folder(self, folder: &'a Path) -> Self {
        Self { folder, ..self }
    }

    /// The same for a hook whose warnings go there.
    pub(crate) fn warning_into<'b>(self, warnings: &'b Mutex<Vec<String>>) -> BuildCx<'b>
    where
        'a: 'b,
    {
        BuildCx { warnings: Some(warnings), ..self }
    }

    /// The same where requests can be sent to the pools.
    pub(crate) fn with_clients<'b>(self, clients: &'b [PoolClient]) -> BuildCx<'b>
    where
        'a: 'b,
    {
        BuildCx { clients, ..self }
    }

    /// The same for a configuration with these stores.
    pub(crate) fn with_stores(self, stores: &'a [Arc<Redis>]) -> Self {
        Self { stores, ..self }
    }

    /// The same where there are stores of answers.
    pub(crate) fn with_caches(self, caches: &'a [Arc<Cache>]) -> Self {
        Self { caches, ..self }
    }

    /// The same for a hook that keeps its states in that scope.
    pub(crate) fn keeping<'b>(self, keeping: &'b Keeping<'b>, scope: &'b Scope) -> BuildCx<'b>
    where
        'a: 'b,
    {
        BuildCx { keeper: Some(Keeper { keeping, scope }), ..self }
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

    /// The name of a pool, by which a [job](Self::job) finds it.
    pub fn pool_name(&self, pool: PoolRef) -> &'a PoolName {
        &self.pools[pool.0]
    }

    /// Sends requests of a filter's own to a pool, as this configuration has it: a later one that takes the pool away fails
    /// none that is under way. For filters alone: to a policy, every such request fails. What outlives the configuration, a
    /// [state](Self::keep) or a [job](Self::job), must not hold it.
    pub fn client(&self, pool: PoolRef) -> PoolClient {
        self.clients.get(pool.0).cloned().unwrap_or_else(PoolClient::of_nobody)
    }

    /// The store of that name (`server.stores`).
    ///
    /// # Errors
    /// When the configuration has no store of that name; the error names the closest one.
    pub(crate) fn store(&self, name: &StoreName) -> Result<Arc<Redis>, BuildError> {
        let names = || self.stores.iter().map(|store| store.settings().name.as_str());
        if let Some(index) = names().position(|known| known == name.as_str()) {
            return Ok(self.stores[index].clone());
        }
        let error = BuildError::new(format!("no store named `{name}` under `server.stores`"));
        Err(match closest(name.as_str(), names()) {
            Some(near) => error.with_help(format!("did you mean `{near}`?")),
            None => error,
        })
    }

    /// Looks up a store of answers by name.
    pub(crate) fn cache(&self, name: &CacheName) -> Result<Arc<Cache>, BuildError> {
        if let Some(cache) = self.caches.iter().find(|cache| cache.name == *name) {
            return Ok(cache.clone());
        }
        let error = BuildError::new(format!("no cache named `{name}`"));
        let names = self.caches.iter().map(|cache| cache.name.as_str());
        Err(match closest(name.as_str(), names) {
            Some(near) => error.with_help(format!("did you mean `{near}`?")),
            None => {
                error.with_help(format!("add it to the file: `server: {{ caches: {{ {name}: {{}} }} }}`"))
            }
        })
    }

    /// How many bits of an IPv6 address stand for one client (`server.http_client_id.ipv6_prefix`).
    pub fn ipv6_prefix(&self) -> u8 {
        self.ipv6_prefix
    }

    /// Where a path of the settings leads: relative ones start at the folder of the configuration's file.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.folder.join(path)
    }

    /// Tells of what is allowed but surely not meant, at the place of the settings; lower case, without a full stop.
    pub fn warn(&self, message: impl fmt::Display) {
        if let Some(warnings) = self.warnings {
            warnings.lock().push(message.to_string());
        }
    }

    /// State that outlives this configuration: the very one that the hook's predecessor kept under `name`, or what
    /// `make` makes where there is none.
    ///
    /// The predecessor is, in the configuration before, the filter of the same name on the route of the same name; of
    /// several such filters on a route, the one with the same place among them. For a policy it is the policy of the
    /// pool of the same name. Requests that began before a reload go on with the filter of their configuration, so that
    /// both may use the state at once. What a new configuration does not ask for is dropped when the last of them ends.
    ///
    /// A state is found by `name` and type. The name says all that the state depends on, so that a state that was made
    /// for other settings is made anew:
    ///
    /// ```
    /// use std::collections::HashSet;
    /// use std::sync::{Arc, Mutex};
    ///
    /// use evener::hooks::{BuildCx, BuildError, testing};
    ///
    /// struct Seen {
    ///     clients: Arc<Mutex<HashSet<String>>>,
    /// }
    ///
    /// fn build(header: &str, cx: &BuildCx<'_>) -> Result<Seen, BuildError> {
    ///     Ok(Seen { clients: cx.keep(&format!("clients by {header}"), Mutex::default) })
    /// }
    ///
    /// let mut generations = testing::Generations::new();
    /// let old = generations.build("X-User", build)?;
    /// old.clients.lock().unwrap().insert("ada".to_owned());
    /// let reloaded = generations.build("X-User", build)?;
    /// assert!(reloaded.clients.lock().unwrap().contains("ada"));
    /// let changed = generations.build("X-Tenant", build)?;
    /// assert!(changed.clients.lock().unwrap().is_empty());
    /// # Ok::<(), BuildError>(())
    /// ```
    pub fn keep<T: Send + Sync + 'static>(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        match self.keeper {
            Some(keeper) => keeper.keep(name, make),
            None => Arc::new(make()),
        }
    }

    /// As [`keep`](Self::keep), with one state for all hooks of the configuration that ask for this name and type.
    pub fn share<T: Send + Sync + 'static>(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        match self.shared_keeper() {
            Some(keeper) => keeper.keep(name, make),
            None => Arc::new(make()),
        }
    }

    /// As [`share`](Self::share), for a state that works by itself: [`Job::run`] runs from when the configuration is served
    /// until one is served that does not ask for the job. Nothing runs for a configuration that is only checked or is refused.
    pub fn job<J: Job + 'static>(&self, name: &str, make: impl FnOnce() -> J) -> Arc<J> {
        match self.shared_keeper() {
            Some(keeper) => keeper.keep_job(name, make),
            None => Arc::new(make()),
        }
    }

    /// Reads a file of at most 16 MiB with `read`, and has it read again within a second or two whenever it changes while the
    /// configuration is served. Where it cannot be read then, what it said before stays and the log tells why. `T` is a type of
    /// the hook's own: a file is read once for all hooks that read it to the same type. Relative paths as in
    /// [`path`](Self::path).
    ///
    /// # Errors
    /// When it cannot be read now; the error is about the settings as a whole, [`BuildError::at`] says which key has the path.
    pub fn watch_file<T: Send + Sync + 'static>(
        &self,
        path: &Path,
        read: ReadFile<T>,
    ) -> Result<Watched<T>, BuildError> {
        self.watch(path, USUAL_SIZE, Read::Borrowed(read))
    }

    /// As [`watch_file`](Self::watch_file), for files of `most` bytes at most, whose bytes `read` may keep. While one is read
    /// again, what it said before is held as well.
    ///
    /// # Errors
    /// As for [`watch_file`](Self::watch_file).
    pub fn watch_large_file<T: Send + Sync + 'static>(
        &self,
        path: &Path,
        most: ByteSize,
        read: TakeFile<T>,
    ) -> Result<Watched<T>, BuildError> {
        self.watch(path, most, Read::Owned(read))
    }

    fn watch<T: Send + Sync + 'static>(
        &self,
        path: &Path,
        most: ByteSize,
        read: Read<T>,
    ) -> Result<Watched<T>, BuildError> {
        let path = self.path(path);
        let name = format!("file {}", path.display());
        let file = self.job(&name, || Arc::new(WatchedFile::new(path.clone(), most, read)));
        let refused = |error| BuildError::new(format!("`{}`: {error}", path.display()));
        let first = file.read().map_err(refused)?;
        Ok(Watched::new(Arc::clone(&file), &first))
    }

    /// As [`keep_exported`](Self::keep_exported), with one state for all hooks of the configuration that ask for this name and
    /// type.
    pub fn share_exported<T: Export>(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        match self.shared_keeper() {
            Some(keeper) => keeper.keep_exported(name, KeptStanding::Passing, make),
            None => Arc::new(make()),
        }
    }

    fn shared_keeper(&self) -> Option<Keeper<'a>> {
        self.keeper.map(|keeper| Keeper { scope: Scope::shared(), ..keeper })
    }

    /// As [`keep`](Self::keep), and also over an upgrade: what another process has exported is imported into the state
    /// that `make` makes, if it comes from this hook's predecessor and was kept under this name.
    pub fn keep_exported<T: Export>(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        self.keep_standing(name, KeptStanding::Passing, make)
    }

    /// As [`keep_exported`](Self::keep_exported), and where configurations in between have none of it, the state comes back
    /// with a configuration of before (a rollback, a probation that failed). One that only says the same begins anew.
    pub(crate) fn keep_returning<T: Export>(&self, name: &str, make: impl FnOnce() -> T) -> Arc<T> {
        self.keep_standing(name, KeptStanding::Returning, make)
    }

    fn keep_standing<T: Export>(
        &self,
        name: &str,
        standing: KeptStanding,
        make: impl FnOnce() -> T,
    ) -> Arc<T> {
        match self.keeper {
            Some(keeper) => keeper.keep_exported(name, standing, make),
            None => Arc::new(make()),
        }
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
