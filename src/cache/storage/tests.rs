use std::time::SystemTime;

use bytes::Bytes;
use http::StatusCode;
use pingora_http::ResponseHeader;

use super::*;
use crate::cache::{Store, is_to_be_stored};

fn cache() -> Arc<Cache> {
    let (name, store) = ("main".parse().unwrap(), Arc::new(Store::new(1 << 20)));
    Arc::new(Cache::new(name, store, 1 << 20, None, 300_000, Duration::ZERO))
}

fn meta(length: Option<usize>) -> CacheMeta {
    let now = SystemTime::now();
    let mut head = ResponseHeader::build(StatusCode::OK, None).unwrap();
    if let Some(length) = length {
        head.insert_header("content-length", length).unwrap();
    }
    CacheMeta::new(now + Duration::from_secs(60), now, 1, 2, head)
}

fn span() -> SpanHandle {
    pingora_cache::trace::Span::inactive().handle()
}

/// Stores a body that comes in pieces of that size.
async fn store(key: &CacheKey, meta: &CacheMeta, body: &[u8], piece: usize) {
    let mut fill = STORAGE.get_miss_handler(key, meta, &span()).await.unwrap();
    for piece in body.chunks(piece) {
        fill.write_body(Bytes::copy_from_slice(piece), false).await.unwrap();
    }
    fill.finish().await.unwrap();
}

async fn read(key: &CacheKey, range: Option<(usize, usize)>) -> Option<Vec<u8>> {
    let (_, mut hit) = STORAGE.lookup(key, &span()).await.unwrap()?;
    if let Some((start, end)) = range {
        hit.seek(start, Some(end)).unwrap();
    }
    let mut body = Vec::new();
    while let Some(piece) = hit.read_body().await.unwrap() {
        assert!(!piece.is_empty());
        body.extend_from_slice(&piece);
    }
    Some(body)
}

fn body(length: usize) -> Vec<u8> {
    (0..length).map(|index| (index % 251) as u8).collect()
}

#[tokio::test]
async fn bodies_come_back_as_they_were_whole_and_in_part() {
    let cache = cache();
    for (length, piece, is_told) in [
        (0, 1, true),
        (1, 1, false),
        (5000, 7, true),
        (200_000, 1000, false),
        (200_000, 150_000, true),
        (65_536, 65_536, false),
    ] {
        let key = cache.key(format!("{length} {piece} {is_told}").into_bytes());
        let whole = body(length);
        store(&key, &meta(is_told.then_some(length)), &whole, piece).await;
        assert_eq!(read(&key, None).await.as_ref(), Some(&whole), "{length} by {piece}");
        for (start, end) in [
            (0, 1),
            (1, length / 2),
            (length / 3, length),
            (length.saturating_sub(1), length),
            (65_535, 65_537),
        ] {
            if start < end && end <= length {
                assert_eq!(
                    read(&key, Some((start, end))).await.unwrap(),
                    whole[start..end],
                    "{start}..{end} of {length}"
                );
            }
        }
        let (meta, _) = STORAGE.lookup(&key, &span()).await.unwrap().unwrap();
        assert_eq!(meta.headers()["content-length"], length.to_string());
    }
}

#[tokio::test]
async fn what_is_not_whole_or_too_long_is_not_kept() {
    let cache = cache();
    let key = cache.key(b"a".to_vec());
    store(&key, &meta(Some(10)), &body(9), 3).await;
    assert_eq!(read(&key, None).await, None);
    store(&key, &meta(None), &body(300_001), 1000).await;
    assert_eq!(read(&key, None).await, None);
    let mut fill = STORAGE.get_miss_handler(&key, &meta(None), &span()).await.unwrap();
    fill.write_body(Bytes::from_static(b"half"), false).await.unwrap();
    drop(fill);
    assert_eq!(read(&key, None).await, None);
}

#[tokio::test]
async fn what_shares_a_hash_is_not_found() {
    let cache = cache();
    let mut one = cache.key(b"one".to_vec());
    let mut other = cache.key(b"other".to_vec());
    one.set_primary_bin_override([7; 16]);
    other.set_primary_bin_override([7; 16]);
    store(&one, &meta(None), b"one", 3).await;
    assert_eq!(read(&other, None).await, None);
    assert_eq!(read(&one, None).await.unwrap(), b"one");
    one.set_variance_key([1; 16]);
    assert_eq!(read(&one, None).await, None);
}

#[tokio::test]
async fn caches_know_nothing_of_each_other() {
    let (one, other) = (cache(), cache());
    store(&one.key(b"a".to_vec()), &meta(None), b"one", 3).await;
    assert_eq!(read(&other.key(b"a".to_vec()), None).await, None);
    assert!(one.remove(b"a") && !one.remove(b"a"));
    assert_eq!(read(&one.key(b"a".to_vec()), None).await, None);
}

#[tokio::test]
async fn a_new_head_keeps_the_body() {
    let cache = cache();
    let key = cache.key(b"a".to_vec());
    store(&key, &meta(None), b"body", 4).await;
    let mut fresh = meta(Some(4));
    fresh.response_header_mut().insert_header("x-new", "1").unwrap();
    assert!(STORAGE.update_meta(&key, &fresh, &span()).await.unwrap());
    let (found, _) = STORAGE.lookup(&key, &span()).await.unwrap().unwrap();
    assert_eq!((found.headers()["x-new"].as_bytes(), found.stale_if_error_sec()), (&b"1"[..], 2));
    assert_eq!(read(&key, None).await.unwrap(), b"body");
    assert!(!STORAGE.update_meta(&cache.key(b"b".to_vec()), &fresh, &span()).await.unwrap());
}

#[tokio::test]
async fn what_was_asked_for_before_a_removal_is_not_kept() {
    let cache = cache();
    let key = cache.key(b"a".to_vec());
    // Before the head of the answer is there.
    cache.remove(b"a");
    store(&key, &meta(None), b"old", 3).await;
    assert_eq!(read(&key, None).await, None);
    let key = cache.key(b"a".to_vec());
    store(&key, &meta(None), b"new", 3).await;
    assert_eq!(read(&key, None).await.unwrap(), b"new");
}

#[tokio::test]
async fn what_is_on_its_way_has_a_bound() {
    let cache = cache();
    let [one, other] = [b"a", b"b"].map(|key| cache.key(key.to_vec()));
    let mut first = STORAGE.get_miss_handler(&one, &meta(None), &span()).await.unwrap();
    first.write_body(Bytes::from(body(300_000)), false).await.unwrap();
    store(&other, &meta(Some(300_000)), &body(300_000), 1000).await;
    assert_eq!(read(&other, None).await, None);
    first.finish().await.unwrap();
    assert_eq!(read(&one, None).await.unwrap().len(), 300_000);
    store(&other, &meta(Some(300_000)), &body(300_000), 1000).await;
    assert_eq!(read(&other, None).await.unwrap().len(), 300_000);
}

#[tokio::test]
async fn what_is_told_to_be_stored_has_its_room() {
    let cache = cache();
    for (length, expected) in [(Some(300_000), true), (Some(0), true), (None, false)] {
        let key = cache.key(b"a".to_vec());
        assert!(!is_to_be_stored(&key));
        let fill = STORAGE.get_miss_handler(&key, &meta(length), &span()).await.unwrap();
        assert_eq!(is_to_be_stored(&key), expected, "{length:?}");
        drop(fill);
    }
    // Too much is on its way for another.
    let (first, second) = (cache.key(b"first".to_vec()), cache.key(b"second".to_vec()));
    let fill = STORAGE.get_miss_handler(&first, &meta(Some(300_000)), &span()).await.unwrap();
    store(&second, &meta(Some(100_000)), &body(100_000), 50_000).await;
    assert!(is_to_be_stored(&first) && !is_to_be_stored(&second));
    assert_eq!(read(&second, None).await, None);
    drop(fill);
    let second = cache.key(b"second".to_vec());
    store(&second, &meta(Some(100_000)), &body(100_000), 50_000).await;
    assert!(is_to_be_stored(&second) && read(&second, None).await.is_some());
}

#[tokio::test]
async fn heads_keep_nothing_of_what_they_were_read_from() {
    let cache = cache();
    let key = cache.key(b"a".to_vec());
    let read = Bytes::from(b"X-Long-Name: some value".repeat(100));
    let mut meta = meta(None);
    let value = http::HeaderValue::from_maybe_shared(read.slice(13..23)).unwrap();
    meta.response_header_mut().append_header(read.slice(..11), value).unwrap();
    store(&key, &meta, b"body", 4).await;
    drop(meta);
    assert!(read.is_unique());
    let (found, _) = STORAGE.lookup(&key, &span()).await.unwrap().unwrap();
    assert_eq!(found.headers()["x-long-name"], "some value");
}
