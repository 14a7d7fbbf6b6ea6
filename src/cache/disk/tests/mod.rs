mod damage;
mod faults;
mod keeping;
mod removal;
mod tenancy;

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use pingora_cache::trace::{Span, SpanHandle};
use pingora_cache::{CacheMeta, Storage};
use pingora_http::ResponseHeader;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::cache::{Cache, STORAGE, Store};

/// A process's cache, with the job that has its folder.
struct Running {
    cache: Arc<Cache>,
    job: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.job.abort();
    }
}

const SIZE: usize = 64 << 20;
const LONG: usize = 3 * MOST_WHOLE + 12_345;

fn begin(path: &Path, size: usize) -> Running {
    begin_as(path, size, false)
}

fn begin_as(path: &Path, size: usize, succeeds: bool) -> Running {
    let disk = Arc::new(Disk::new(path.to_owned(), size));
    if succeeds {
        disk.succeed();
    }
    let job = tokio::spawn({
        let disk = disk.clone();
        async move { disk.serve().await }
    });
    let (name, store) = ("main".parse().unwrap(), Arc::new(Store::new(8 << 20)));
    let cache = Cache::new(name, store, 8 << 20, Some(disk), 16 << 20, Duration::ZERO);
    Running { cache: Arc::new(cache), job }
}

async fn until(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "never {what}");
        tokio::task::yield_now().await;
    }
}

impl Running {
    fn disk(&self) -> &Disk {
        self.cache.disk.as_ref().unwrap()
    }

    fn has_folder(&self) -> bool {
        self.disk().shelf.load().is_some()
    }

    async fn attached(path: &Path) -> Self {
        let running = begin(path, SIZE);
        until("has the folder", || running.has_folder()).await;
        running
    }

    /// Ends as a process does; what was to be written has been.
    async fn end(self) {
        self.settled().await;
        self.job.abort();
        until("ended", || self.job.is_finished()).await;
    }

    async fn settled(&self) {
        until("settled", || self.disk().room.available_permits() == MOST_WAITING).await;
    }

    fn key(&self, text: &str) -> CacheKey {
        self.cache.key(text.as_bytes().to_vec())
    }

    async fn store(&self, key: &CacheKey, body: &[u8]) {
        self.store_with(key, body, &[]).await;
    }

    async fn store_with(&self, key: &CacheKey, body: &[u8], fields: &[(&'static str, &str)]) {
        let mut fill = STORAGE.get_miss_handler(key, &meta(fields), &span()).await.unwrap();
        for piece in body.chunks(50_000) {
            fill.write_body(Bytes::copy_from_slice(piece), false).await.unwrap();
        }
        fill.finish().await.unwrap();
    }

    async fn read(&self, key: &CacheKey) -> Option<Vec<u8>> {
        self.read_part(key, None).await
    }

    /// What can be read of it, and nothing where that breaks off.
    async fn read_part(&self, key: &CacheKey, range: Option<(usize, usize)>) -> Option<Vec<u8>> {
        let (_, mut hit) = STORAGE.lookup(key, &span()).await.unwrap()?;
        if let Some((start, end)) = range {
            hit.seek(start, Some(end)).unwrap();
        }
        let mut body = Vec::new();
        while let Some(piece) = hit.read_body().await.ok()? {
            body.extend_from_slice(&piece);
        }
        Some(body)
    }

    fn forget(&self) {
        self.cache.store.memory.remove_if(|_| true);
    }
}

fn meta(fields: &[(&'static str, &str)]) -> CacheMeta {
    let now = SystemTime::now();
    let mut head = ResponseHeader::build(StatusCode::OK, None).unwrap();
    for (name, value) in fields {
        head.append_header(*name, *value).unwrap();
    }
    CacheMeta::new(now + Duration::from_secs(60), now, 1, 2, head)
}

fn span() -> SpanHandle {
    Span::inactive().handle()
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

/// The files with answers.
fn files(path: &Path) -> Vec<PathBuf> {
    let shelves = fs::read_dir(path.join("v1")).unwrap().map(|entry| entry.unwrap().path());
    let shelves = shelves.filter(|path| path.is_dir() && !path.ends_with("tmp"));
    shelves.flat_map(|shelf| fs::read_dir(shelf).unwrap().map(|entry| entry.unwrap().path())).collect()
}
