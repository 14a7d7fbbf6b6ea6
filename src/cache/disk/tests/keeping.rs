//! What is kept, and what is not.

use super::*;

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
