use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;

use crate::cache::{Cache, Disk, Store, Unreserved};
use crate::config::spec::{CacheDiskSpec, CacheSpec};
use crate::config::{Config, Diagnostics, KeyPath, Source};
use crate::hooks::{BuildCx, Job, JobCx, Keeping, Scope};
use crate::types::CacheName;

/// A folder is a process's own from when a configuration is served that has it.
struct DiskJob(Arc<Disk>);

#[async_trait]
impl Job for DiskJob {
    async fn run(&self, _: &JobCx) {
        self.0.serve().await;
    }
}

/// Why the folders of a configuration cannot be this process's.
#[derive(Debug, thiserror::Error)]
#[error("the folder `{path}` of the cache `{cache}` cannot be had: {reason}{}", help(.reason))]
pub(crate) struct FolderTaken {
    path: String,
    cache: CacheName,
    reason: Unreserved,
}

fn help(reason: &Unreserved) -> &'static str {
    match reason {
        Unreserved::Taken(_) => {
            "; end that process, replace it by `evener upgrade`, or give this cache a folder of its own"
        }
        Unreserved::Unusable(_) => "",
    }
}

/// Has the folders of all caches before they are served; those that are served stay as they are.
///
/// # Errors
/// When another process has one, or nobody can.
pub(crate) fn reserve_folders(caches: &[Arc<Cache>]) -> Result<(), FolderTaken> {
    caches.iter().try_for_each(|cache| {
        let Some(disk) = &cache.disk else { return Ok(()) };
        disk.reserve().map_err(|reason| FolderTaken {
            path: disk.state().path.display().to_string(),
            cache: cache.name.clone(),
            reason,
        })
    })
}

/// Has them handed over by the process whose place this one takes.
pub(crate) fn take_folders_over(caches: &[Arc<Cache>]) {
    caches.iter().filter_map(|cache| cache.disk.as_ref()).for_each(|disk| disk.succeed());
}

/// The stores of answers, with what those of the same size and name hold already.
pub(super) fn caches(
    config: &Config,
    keeping: &Keeping<'_>,
    source: &Source,
    diagnostics: &mut Diagnostics,
) -> Vec<Arc<Cache>> {
    let mut cache = |(name, spec): &(CacheName, CacheSpec)| {
        let scope = Scope::cache(name);
        let cx = BuildCx::new(&[], config.ipv6_prefix).keeping(keeping, &scope);
        let memory = spec.memory.as_usize();
        let store = cx.keep(&format!("{memory} bytes"), || Store::new(memory));
        let unusable = |path: &Path| {
            if let Err(error) = Disk::check(path) {
                let key = KeyPath::default().child("server").child("caches").child(name.as_str());
                diagnostics.error(source, &key.child("disk").child("path"), &error).help(error.help);
            }
        };
        let disk = spec.disk.as_ref().map(|spec| disk(spec, &cx, unusable));
        let size = spec.disk.as_ref().map_or(usize::MAX, |disk| disk.size.as_usize());
        let max_object = spec.max_object.as_usize().min(size / 2);
        let cache = Cache::new(name.clone(), store, memory, disk, max_object, spec.lock.wait.get());
        Arc::new(cache.with_refreshes(usize::from(spec.refresh.at_once)))
    };
    config.caches.iter().map(&mut cache).collect()
}

/// A disk that is served already is not looked at again: what has become of it is no reason to refuse another configuration.
fn disk(spec: &CacheDiskSpec, cx: &BuildCx<'_>, check: impl FnOnce(&Path)) -> Arc<Disk> {
    let (path, size) = (spec.path.clone(), spec.size.as_usize());
    let name = format!("{size} bytes in {}", path.display());
    let make = || {
        check(&path);
        DiskJob(Arc::new(Disk::new(path.clone(), size)))
    };
    cx.job(&name, make).0.clone()
}
