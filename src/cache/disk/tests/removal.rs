//! What is removed stays so.

use super::*;

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
