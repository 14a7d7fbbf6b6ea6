use crate::config::KeyPath;
use crate::config::spec::{CacheSpec, NamedMap};
use crate::types::CacheName;

use super::Resolver;

impl Resolver<'_> {
    pub(super) fn caches(
        &mut self,
        specs: NamedMap<CacheName, CacheSpec>,
        at: &KeyPath,
    ) -> Vec<(CacheName, CacheSpec)> {
        let mut caches: Vec<(CacheName, CacheSpec)> = Vec::new();
        for (name, mut spec) in specs {
            if let Some(disk) = &mut spec.disk {
                disk.path = self.base.join(&disk.path);
                let has_it = |(_, other): &&(CacheName, CacheSpec)| {
                    other.disk.as_ref().is_some_and(|other| other.path == disk.path)
                };
                if let Some((other, _)) = caches.iter().find(has_it) {
                    let message = format!("the cache `{other}` has this folder already");
                    self.error(&at.child(name.as_str()).child("disk").child("path"), message)
                        .help("give each cache a folder of its own");
                }
            }
            caches.push((name, spec));
        }
        caches
    }
}
