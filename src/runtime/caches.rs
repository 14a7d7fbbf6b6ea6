use std::sync::Arc;

use async_trait::async_trait;

use crate::cache::{Cache, Disk, Store};
use crate::config::Config;
use crate::config::spec::{CacheDiskSpec, CacheSpec};
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

/// The stores of answers, with what those of the same size and name hold already.
pub(super) fn caches(config: &Config, keeping: &Keeping<'_>) -> Vec<Arc<Cache>> {
    let cache = |(name, spec): &(CacheName, CacheSpec)| {
        let scope = Scope::cache(name);
        let cx = BuildCx::new(&[], config.ipv6_prefix).keeping(keeping, &scope);
        let memory = spec.memory.as_usize();
        let store = cx.keep(&format!("{memory} bytes"), || Store::new(memory));
        let disk = spec.disk.as_ref().map(|spec| disk(spec, &cx));
        let size = spec.disk.as_ref().map_or(usize::MAX, |disk| disk.size.as_usize());
        let max_object = spec.max_object.as_usize().min(size / 2);
        let cache = Cache::new(name.clone(), store, memory, disk, max_object, spec.lock.wait.get());
        Arc::new(cache.with_refreshes(usize::from(spec.refresh.at_once)))
    };
    config.caches.iter().map(cache).collect()
}

fn disk(spec: &CacheDiskSpec, cx: &BuildCx<'_>) -> Arc<Disk> {
    let (path, size) = (spec.path.clone(), spec.size.as_usize());
    let name = format!("{size} bytes in {}", path.display());
    cx.job(&name, || DiskJob(Arc::new(Disk::new(path, size)))).0.clone()
}
