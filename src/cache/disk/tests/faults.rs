//! A disk that does not do what it should.

use super::*;

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
