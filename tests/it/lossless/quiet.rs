//! What is proved of all clients while nothing changes, and at the end of a process.

use std::path::Path;
use std::time::Duration;

use evener::app::App;
use rustix::process::Signal;

use crate::support::eventually;

use super::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_while_nothing_changes_and_while_the_process_drains() {
    let mut site = Site::start("1m").await;
    let clients = site.clients().await;
    site.serves_the_current().await;
    for _ in 0..20 {
        clients.move_on();
        clients.go_on().await;
    }
    site.running.signal(Signal::TERM);
    eventually("it drains", async || site.running.status().await["draining"] == true).await;
    for _ in 0..3 {
        clients.go_on().await;
    }
    assert!(site.running.is_running());
    let finished = clients.finish().await;
    finished.without_a_loss();
    site.posts_came_once(finished.posts());
    println!("far longer than without the edge: {:?}", finished.gaps(Duration::from_millis(50)));
    site.running.signal(Signal::TERM);
    assert_eq!(site.running.exit_code().await, Some(0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_at_rest_has_nothing_under_way_and_holds_what_it_held_before() {
    let mut site = Site::start("1m").await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let clients = site.clients().await;
        for _ in 0..20 {
            clients.go_on().await;
        }
        let finished = clients.finish().await;
        finished.without_a_loss();
        held.push(site.at_rest().await);
    }
    assert_eq!(site.processes(), [site.serving().await]);
    assert_eq!(held[0].descriptors, held[1].descriptors, "{held:?}");
    assert!(held[1].memory < 2 * held[0].memory, "{held:?}");
}

#[tokio::test]
async fn configurations_that_are_made_up_differ_and_are_all_accepted() {
    let mut site = Site::start("1m").await;
    let folder = site.folder();
    let mut before = site.current.text.clone();
    for _ in 0..60 {
        let next = site.variations.next();
        assert_ne!(next.text, before);
        let loaded = App::builder().load_text("made-up.yaml", Path::new(&folder), &next.text);
        assert!(loaded.is_ok(), "{}\n{}", loaded.err().unwrap(), next.text);
        before = next.text;
    }
}
