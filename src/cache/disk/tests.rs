use std::fs;
use std::path::Path;
use std::time::SystemTime;

use bytes::Bytes;
use http::{HeaderName, StatusCode};
use pingora_cache::trace::{Span, SpanHandle};
use pingora_cache::{CacheMeta, Storage};
use pingora_http::ResponseHeader;
use proptest::prelude::*;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::folder::Taken;
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

#[tokio::test]
async fn answers_are_there_after_a_restart() {
    let place = tempfile::tempdir().unwrap();
    let running = Running::attached(place.path()).await;
    let (short, long) = (body(100_000), body(LONG));
    running.store_with(&running.key("short"), &short, &[("X-Kept", "yes")]).await;
    running.store(&running.key("long"), &long).await;
    running.store(&running.key("empty"), b"").await;
    let headers = [(HeaderName::from_static("accept"), "text/html".parse().unwrap())].into_iter().collect();
    let variance = |running: &Running| running.cache.variance(&[HeaderName::from_static("accept")], &headers);
    let mut variant = running.key("short");
    variant.set_variance_key(variance(&running));
    running.store(&variant, b"variant").await;
    assert_eq!(running.read(&running.key("long")).await.unwrap(), long);
    running.end().await;

    let running = Running::attached(place.path()).await;
    let (found, _) = STORAGE.lookup(&running.key("short"), &span()).await.unwrap().unwrap();
    assert_eq!(found.headers()["x-kept"], "yes");
    assert_eq!(found.headers()["content-length"], "100000");
    assert_eq!((found.is_fresh(SystemTime::now()), found.stale_if_error_sec()), (true, 2));
    assert_eq!(running.read(&running.key("short")).await.unwrap(), short);
    assert_eq!(running.cache.store.memory.len(), 1, "it is in memory from now on");
    assert_eq!(running.read(&running.key("empty")).await.unwrap(), b"");
    let mut variant = running.key("short");
    variant.set_variance_key(variance(&running));
    assert_eq!(running.read(&variant).await.unwrap(), b"variant");
    assert_eq!(running.read(&running.key("other")).await, None);
    let key = running.key("long");
    assert_eq!(running.read(&key).await.unwrap(), long);
    for (start, end) in [(0, 1), (65_535, 65_537), (1_000_000, 2_000_000), (LONG - 1, LONG)] {
        assert_eq!(running.read_part(&key, Some((start, end))).await.unwrap(), long[start..end]);
    }
}

#[tokio::test]
async fn what_is_not_whole_leaves_nothing() {
    let place = tempfile::tempdir().unwrap();
    let running = Running::attached(place.path()).await;
    let key = running.key("a");
    let mut fill =
        STORAGE.get_miss_handler(&key, &meta(&[("content-length", "9999999")]), &span()).await.unwrap();
    for _ in 0..20 {
        fill.write_body(Bytes::from(body(100_000)), false).await.unwrap();
    }
    fill.finish().await.unwrap();
    let mut fill = STORAGE.get_miss_handler(&key, &meta(&[]), &span()).await.unwrap();
    fill.write_body(Bytes::from(body(2_000_000)), false).await.unwrap();
    drop(fill);
    running.settled().await;
    assert_eq!(running.read(&key).await, None);
    assert!(files(place.path()).is_empty());
    assert_eq!(fs::read_dir(place.path().join("v1/tmp")).unwrap().count(), 0);
}

#[tokio::test]
async fn files_keep_to_their_size() {
    let place = tempfile::tempdir().unwrap();
    let size = 16 << 20;
    let running = begin(place.path(), size);
    until("has the folder", || running.has_folder()).await;
    for number in 0..60 {
        running.store(&running.key(&number.to_string()), &body(900_000)).await;
        running.settled().await;
    }
    let lengths: u64 = files(place.path()).iter().map(|file| file.metadata().unwrap().len()).sum();
    let counted = running.disk().shelf.load().as_ref().unwrap().bytes();
    assert!(lengths <= counted as u64 && counted <= size, "{lengths} {counted}");
    assert!(lengths > 14 << 20, "{lengths}");
    running.end().await;
    let running = begin(place.path(), 1 << 20);
    until("fits", || files(place.path()).len() <= 1).await;
    running.end().await;
}

#[tokio::test]
async fn what_was_removed_does_not_come_back() {
    let place = tempfile::tempdir().unwrap();
    let running = Running::attached(place.path()).await;
    for name in ["one", "two", "long", "removed"] {
        let body = body(if name == "long" { LONG } else { 10 });
        running.store_with(&running.key(name), &body, &[("Cache-Tag", name)]).await;
    }
    running.settled().await;
    running.forget();
    running.cache.remove(b"removed");
    assert_eq!(running.read(&running.key("removed")).await, None, "from now on");
    assert_eq!(running.read(&running.key("one")).await.unwrap().len(), 10);
    for (tag, answers) in [("one", 1), ("long", 1), ("none", 0)] {
        let purged = running.cache.purge(&Purge::Tag(tag.to_owned())).await;
        assert_eq!(purged, Purged { answers, is_complete: true }, "{tag}");
    }
    until("removed", || files(place.path()).len() == 1).await;
    running.end().await;
    let running = Running::attached(place.path()).await;
    for name in ["one", "long", "removed"] {
        assert_eq!(running.read(&running.key(name)).await, None, "{name}");
    }
    assert_eq!(running.read(&running.key("two")).await.unwrap().len(), 10);
    assert_eq!(running.cache.purge(&Purge::All).await, Purged { answers: 1, is_complete: true });
    running.store(&running.key("two"), b"new").await;
    running.settled().await;
    running.forget();
    assert_eq!(running.read(&running.key("two")).await.unwrap(), b"new", "what comes later stays");
}

#[tokio::test]
async fn what_came_before_a_removal_is_not_stored_after_it() {
    let place = tempfile::tempdir().unwrap();
    let running = Running::attached(place.path()).await;
    for length in [10, LONG] {
        let key = running.key("a");
        let mut fill =
            STORAGE.get_miss_handler(&key, &meta(&[("Cache-Tag", "mine")]), &span()).await.unwrap();
        fill.write_body(Bytes::from(body(length)), false).await.unwrap();
        running.cache.purge(&Purge::Tag("mine".to_owned())).await;
        fill.finish().await.unwrap();
        running.settled().await;
        assert_eq!(running.read(&key).await, None);
        assert!(files(place.path()).is_empty());
    }
}

#[tokio::test]
async fn all_that_is_kept_for_a_target_goes_together() {
    let place = tempfile::tempdir().unwrap();
    let running = Running::attached(place.path()).await;
    let key = |path: &str, lang: &'static str| {
        let target = crate::cache::Target {
            route: "r",
            pool: "p",
            scheme: b"http",
            asked_host: b"a",
            host: b"a",
            path,
            query: None,
            asked: None,
            told: b"",
        };
        let fields = [(http::header::ACCEPT_LANGUAGE, lang.parse().unwrap())].into_iter().collect();
        let plan = crate::cache::Plan {
            key_headers: vec![http::header::ACCEPT_LANGUAGE],
            ..crate::cache::Plan::default()
        };
        target.key(&fields, |_| None, &plan)
    };
    for forgets in [false, true] {
        for (path, lang, length) in [("/a", "de", 10), ("/a", "en", LONG), ("/b", "de", 10)] {
            running.store(&running.cache.key(key(path, lang)), &body(length)).await;
        }
        running.settled().await;
        if forgets {
            running.forget();
        }
        running.cache.remove(&key("/a", "fr"));
        for lang in ["de", "en"] {
            assert_eq!(running.read(&running.cache.key(key("/a", lang))).await, None, "{lang}");
        }
        assert!(running.read(&running.cache.key(key("/b", "de"))).await.is_some());
        until("removed", || files(place.path()).len() == 1).await;
    }
    running.end().await;
}

#[tokio::test]
async fn what_others_remove_is_no_affair_of_what_is_on_its_way() {
    let place = tempfile::tempdir().unwrap();
    let running = Running::attached(place.path()).await;
    for length in [10, LONG] {
        let key = running.key(&length.to_string());
        let mut fill =
            STORAGE.get_miss_handler(&key, &meta(&[("Cache-Tag", "mine")]), &span()).await.unwrap();
        fill.write_body(Bytes::from(body(length)), false).await.unwrap();
        running.cache.purge(&Purge::Tag("other".to_owned())).await;
        running.cache.remove(b"other");
        fill.finish().await.unwrap();
        running.settled().await;
        running.forget();
        assert_eq!(running.read(&key).await.unwrap(), body(length));
    }
}

#[tokio::test]
async fn thousands_of_removals_remove_what_they_mean() {
    let place = tempfile::tempdir().unwrap();
    let running = Running::attached(place.path()).await;
    for name in ["kept", "4321"] {
        running.store_with(&running.key(name), b"a", &[("Cache-Tag", name)]).await;
    }
    running.settled().await;
    let shelf = running.disk().shelf.load_full().unwrap();
    for number in 0..5000 {
        shelf.add_rule(&Purge::Tag(number.to_string()));
    }
    shelf.save_rules().unwrap();
    running.forget();
    assert_eq!(running.read(&running.key("4321")).await, None);
    assert_eq!(running.read(&running.key("kept")).await.unwrap(), b"a");
    drop(shelf);
    running.end().await;
    let running = Running::attached(place.path()).await;
    assert_eq!(running.read(&running.key("kept")).await.unwrap(), b"a");
    until("swept", || running.disk().shelf.load_full().is_some_and(|shelf| shelf.is_settled())).await;
    assert_eq!(files(place.path()).len(), 1);
}

#[test]
fn what_is_owed_is_owed_one_by_one() {
    let mut owed = Owed::default();
    for number in 0..5000 {
        owed.add_target(number);
        owed.add_purge(&Purge::Tag(number.to_string()));
    }
    assert_eq!((owed.targets.len(), owed.purges.len()), (5000, 5000));
    for number in 0..=MOST_OWED as u64 {
        owed.add_target(number);
    }
    assert_eq!((owed.targets.len(), owed.purges.iter().next()), (0, Some((1, (&Purge::All).into()))));
}

#[tokio::test]
async fn the_newcomer_gets_the_folder_and_the_other_has_it_back() {
    let place = tempfile::tempdir().unwrap();
    let first = Running::attached(place.path()).await;
    first.store(&first.key("a"), b"first").await;
    first.settled().await;
    let second = begin_as(place.path(), SIZE, true);
    assert_eq!(second.read(&second.key("a")).await, None, "it works from memory meanwhile");
    second.cache.purge(&Purge::Tag("x".to_owned())).await;
    until("taken over", || second.has_folder() && !first.has_folder()).await;
    assert_eq!(second.read(&second.key("a")).await.unwrap(), b"first");
    assert_eq!(first.read(&first.key("a")).await.unwrap(), b"first", "from memory");
    first.store(&first.key("b"), b"only in memory").await;
    // What the other removes while it has no folder is removed when it has it again.
    first.cache.remove(b"a");
    second.end().await;
    until("taken back", || first.has_folder()).await;
    assert_eq!(first.read(&first.key("a")).await, None);
    first.forget();
    assert_eq!(first.read(&first.key("b")).await, None);
}

#[tokio::test]
async fn nobody_takes_the_folder_from_one_whose_place_it_does_not_take() {
    let place = tempfile::tempdir().unwrap();
    let first = Running::attached(place.path()).await;
    let second = Disk::new(place.path().to_owned(), SIZE);
    second.reserve().unwrap();
    let waiting = timeout(Duration::from_millis(300), second.serve()).await;
    assert!(waiting.is_err() && first.has_folder() && !second.state().has_folder);
    // Another process's lock.
    fs::write(place.path().join("v1/lock"), "4711 0123456789abcdef").unwrap();
    let other = Disk::new(place.path().to_owned(), SIZE);
    assert_eq!(other.reserve().unwrap_err().to_string(), "another process has it (4711)");
    first.end().await;
    other.reserve().unwrap();
    let second = begin(place.path(), SIZE);
    assert!(!second.has_folder(), "it is reserved");
    drop(other);
    until("free", || second.has_folder()).await;
    second.end().await;
}

#[tokio::test]
async fn a_new_head_lasts() {
    let place = tempfile::tempdir().unwrap();
    let running = Running::attached(place.path()).await;
    for (name, length) in [("short", 10), ("long", LONG)] {
        let key = running.key(name);
        running.store_with(&key, &body(length), &[("X-Seen", "old")]).await;
        running.settled().await;
        let (known, _) = STORAGE.lookup(&key, &span()).await.unwrap().unwrap();
        let mut fresh = meta(&[("X-Seen", "new"), ("X-Other", &"a".repeat(100))]);
        fresh.extensions_mut().extend(known.extensions().clone());
        assert!(STORAGE.update_meta(&key, &fresh, &span()).await.unwrap());
        running.settled().await;
        running.forget();
        let (found, _) = STORAGE.lookup(&key, &span()).await.unwrap().unwrap();
        assert_eq!(found.headers()["x-seen"], "new", "{name}");
        assert_eq!(running.read(&key).await.unwrap().len(), length);
    }
    // One that has no room where the other was.
    let key = running.key("long");
    let (known, _) = STORAGE.lookup(&key, &span()).await.unwrap().unwrap();
    let mut fresh = meta(&[("X-Other", &"a".repeat(5000))]);
    fresh.extensions_mut().extend(known.extensions().clone());
    STORAGE.update_meta(&key, &fresh, &span()).await.unwrap();
    running.settled().await;
    assert_eq!(running.read(&key).await, None);
}

#[tokio::test]
async fn a_disk_that_fails_leaves_the_memory() {
    let place = tempfile::tempdir().unwrap();
    let running = Running::attached(place.path()).await;
    fs::remove_dir_all(place.path().join("v1")).unwrap();
    let key = running.key("a");
    running.store(&key, b"a").await;
    until("left alone", || running.disk().health.rests()).await;
    assert_eq!(running.read(&key).await.unwrap(), b"a");
    running.store(&running.key("long"), &body(LONG)).await;
    assert_eq!(running.read(&running.key("long")).await, None);
}

#[tokio::test]
async fn a_file_that_cannot_be_read_is_no_reason_to_do_without_the_others() {
    let place = tempfile::tempdir().unwrap();
    let running = Running::attached(place.path()).await;
    for name in ["good", "bad", "other"] {
        running.store_with(&running.key(name), name.as_bytes(), &[("Cache-Tag", name)]).await;
    }
    running.settled().await;
    running.forget();
    let path_of = |name: &str| {
        let name = format!("{:032x}", name_of(&running.key(name)));
        place.path().join("v1").join(&name[..2]).join(name)
    };
    for name in ["bad", "other"] {
        fs::remove_file(path_of(name)).unwrap();
        fs::create_dir(path_of(name)).unwrap();
        fs::write(path_of(name).join("kept"), "mine").unwrap();
    }
    assert_eq!(running.read(&running.key("bad")).await, None);
    assert_eq!(running.read(&running.key("good")).await.unwrap(), b"good", "the disk is asked on");
    // A look through all files meets the other one.
    let purged = running.cache.purge(&Purge::Tag("good".to_owned())).await;
    assert_eq!(purged, Purged { answers: 1, is_complete: true });
    let health = &running.disk().health;
    assert_eq!((health.rests(), health.off(), health.lost()), (false, None, 2));
    assert!(!path_of("bad").exists() && !path_of("other").exists());
    running.store(&running.key("bad"), b"new").await;
    running.settled().await;
    running.forget();
    assert_eq!(running.read(&running.key("bad")).await.unwrap(), b"new");
    // And one that is met when it is replaced.
    fs::remove_file(path_of("bad")).unwrap();
    fs::create_dir(path_of("bad")).unwrap();
    running.store(&running.key("bad"), b"newer").await;
    running.settled().await;
    assert_eq!((health.rests(), health.lost(), path_of("bad").exists()), (false, 3, false));
    running.end().await;
}

#[tokio::test]
async fn a_disk_without_room_is_read_as_before() {
    let place = tempfile::tempdir().unwrap();
    let running = Running::attached(place.path()).await;
    for number in 0..40 {
        running.store(&running.key(&number.to_string()), b"short").await;
    }
    running.settled().await;
    running.forget();
    let shelf = running.disk().shelf.load_full().unwrap();
    let before = shelf.bytes();
    let full = || Err::<(), _>(std::io::Error::from(std::io::ErrorKind::StorageFull));
    shelf.noting_room(full()).unwrap_err();
    let after = shelf.bytes();
    assert!(after < before && after > before / 2, "{before} {after}");
    assert_eq!(files(place.path()).len(), shelf.len());
    shelf.noting_room(full()).unwrap_err();
    assert_eq!(shelf.bytes(), after, "once each time");
    running.disk().health.failed(&full().unwrap_err());
    let mut found = 0;
    for number in 0..40 {
        let short = running.read(&running.key(&number.to_string())).await;
        found += usize::from(short.is_some_and(|body| body == b"short"));
    }
    assert_eq!(found, shelf.len());
    let disk = running.cache.disk.as_ref().unwrap();
    assert!(disk.ticket(&running.key("new")).is_none(), "nothing is written");
    assert!(running.disk().health.full().is_some() && !running.disk().health.rests());
    drop(shelf);
    running.end().await;
}

#[tokio::test]
async fn a_state_that_is_gone_is_no_licence_to_give_what_was_removed() {
    let place = tempfile::tempdir().unwrap();
    let running = Running::attached(place.path()).await;
    running.store(&running.key("a"), b"a").await;
    running.end().await;
    assert_eq!(files(place.path()).len(), 1);
    fs::write(place.path().join("v1/state"), b"broken").unwrap();
    let running = Running::attached(place.path()).await;
    assert!(files(place.path()).is_empty());
    running.end().await;
}

// === What a crash leaves ===

fn shelf(path: &Path) -> Shelf {
    let Taken::Folder(folder) = Folder::take(path).unwrap() else { panic!("it is taken") };
    Shelf::open(folder, SIZE, Arc::new(Health::new(path.to_owned()))).unwrap()
}

fn draft(key: &[u8]) -> Draft {
    Draft::new(&CacheKey::new(key, String::new()), &meta(&[]))
}

fn put(shelf: &Shelf, name: u128, id: u64, body: &[u8]) {
    let answer = draft(b"key").encode();
    let header = Header { id, sequence: shelf.sequence(), body: 0, answer: answer.clone() };
    let mut writer = Writer::begin(&shelf.folder, header, Some(body.len())).unwrap().unwrap();
    writer.write(body).unwrap();
    let publication = Publication { name, number: id, answer, is_due: &|| true };
    shelf.publish(writer, publication).unwrap();
}

/// What is read of it: all of it, or nothing.
fn get(shelf: &Shelf, name: u128, most_whole: usize) -> Option<Vec<u8>> {
    let found = shelf.find(name, most_whole).unwrap()?;
    match found.body {
        FoundBody::Whole(body) => Some(body.pieces.concat()),
        FoundBody::Long(file, first) => {
            let mut body = first.to_vec();
            for index in 1..found.layout.body.div_ceil(format::BLOCK as u64) {
                body.extend(block_file::read_block(&file, found.layout, index).unwrap()?);
            }
            Some(body)
        }
    }
}

/// What happens to a file while nobody looks.
#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Zeros(prop::sample::Index),
    Append(Vec<u8>),
    /// The block of a file that was there before.
    Mix(prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<prop::sample::Index>(), 1..=255_u8).prop_map(|(at, flip)| Damage::Flip(at, flip)),
        any::<prop::sample::Index>().prop_map(Damage::Cut),
        any::<prop::sample::Index>().prop_map(Damage::Zeros),
        prop::collection::vec(any::<u8>(), 1..20).prop_map(Damage::Append),
        any::<prop::sample::Index>().prop_map(Damage::Mix),
    ]
}

fn apply(damage: &Damage, bytes: &mut Vec<u8>, other: &[u8]) {
    if bytes.is_empty() {
        return;
    }
    match damage {
        Damage::Flip(at, flip) => {
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
        }
        Damage::Cut(at) => bytes.truncate(at.index(bytes.len())),
        Damage::Zeros(at) => {
            let at = at.index(bytes.len());
            bytes[at..].fill(0);
        }
        Damage::Append(more) => bytes.extend_from_slice(more),
        Damage::Mix(at) => {
            let (at, end) = (at.index(bytes.len()), bytes.len().min(other.len()));
            if at < end {
                bytes[at..end].copy_from_slice(&other[at..end]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever became of a file, what is read is what was written, or nothing; and where the damage is to what is told at
    /// once, the file is gone.
    #[test]
    fn no_wrong_body_is_ever_given(
        length in prop_oneof![0..200_usize, 65_000..66_000_usize, 130_000..140_000_usize],
        damages in prop::collection::vec(damage(), 1..3),
        is_read_whole: bool,
    ) {
        let place = tempfile::tempdir().unwrap();
        let whole = body(length);
        let other: Vec<u8> = whole.iter().map(|byte| byte ^ 0x55).collect();
        let first = shelf(place.path());
        put(&first, 1, 10, &other);
        let file = files(place.path()).remove(0);
        let before = fs::read(&file).unwrap();
        put(&first, 1, 11, &whole);
        let written = fs::read(&file).unwrap();
        drop(first);
        let mut bytes = written.clone();
        for damage in &damages {
            apply(damage, &mut bytes, &before);
        }
        fs::write(&file, &bytes).unwrap();
        let shelf = shelf(place.path());
        let most_whole = if is_read_whole { MOST_WHOLE } else { 0 };
        let read = get(&shelf, 1, most_whole);
        if bytes == before {
            prop_assert_eq!(read, Some(other));
        } else if let Some(read) = read {
            prop_assert_eq!(read, whole);
        } else if is_read_whole {
            prop_assert!(!file.exists());
        }
        for number in 0..folder::SHELVES {
            shelf.sweep(number).unwrap();
        }
        shelf.settle(shelf.sequence()).unwrap();
    }
}
