//! Two processes and one folder.

use super::*;

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
