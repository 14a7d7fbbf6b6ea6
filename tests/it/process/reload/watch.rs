//! Files that are served by themselves when they change.

use std::fs;
use std::os::unix::fs::symlink;

use crate::support::eventually;

use super::super::Running;
use super::super::control::{evener, status};
use super::{answer, responding, write};

async fn comes(running: &Running, status: u16) {
    eventually(&format!("{status} is served"), async || answer(running).await == status).await;
}

#[tokio::test]
async fn a_file_that_changes_is_served_by_itself() {
    let running = Running::start(&responding("watch: true", 201), 1).await;
    let replace = |config: &str| {
        fs::write(running.file("draft"), config).unwrap();
        fs::rename(running.file("draft"), running.file("edge.yaml")).unwrap();
    };
    write(&running, &responding("watch: true", 202));
    comes(&running, 202).await;
    replace(&responding("watch: true", 203));
    comes(&running, 203).await;
    running.tells("configuration is served generation=3 why=watch").await;
    // A broken file is refused once, and the next good one is served.
    write(&running, "routes: [}\n");
    running.tells("configuration is refused, what was served stays why=watch").await;
    assert_eq!(answer(&running).await, 203);
    replace(&responding("watch: true", 204));
    comes(&running, 204).await;
    assert_eq!(status(&running).await["changes_refused"], 1);
    // What the operator went back to stays until the file changes.
    assert_eq!(evener(&running, &["rollback"]).await.0, 0);
    assert_eq!(answer(&running).await, 203);
    fs::remove_file(running.file("edge.yaml")).unwrap();
    replace(&responding("watch: true", 205));
    comes(&running, 205).await;
}

#[tokio::test]
async fn folders_that_are_swapped_by_links_are_seen() {
    let running = Running::start(&responding("watch: true", 201), 1).await;
    let link = |target: &str, name: &str| {
        symlink(target, running.file("draft")).unwrap();
        fs::rename(running.file("draft"), running.file(name)).unwrap();
    };
    // As orchestrators mount files: a link to a link to a folder for each version.
    for (version, status) in [("v1", 202), ("v2", 203), ("v3", 204)] {
        fs::create_dir(running.file(version)).unwrap();
        fs::write(running.file(version).join("edge.yaml"), responding("watch: true", status)).unwrap();
        link(version, "data");
        if version == "v1" {
            link("data/edge.yaml", "edge.yaml");
        }
        comes(&running, status).await;
    }
}

#[tokio::test]
async fn a_configuration_turns_the_watch_on_and_off() {
    let running = Running::start(&responding("watch: false", 201), 1).await;
    write(&running, &responding("watch: true", 202));
    assert_eq!(evener(&running, &["reload"]).await.0, 0);
    assert_eq!(answer(&running).await, 202);
    write(&running, &responding("watch: false", 203));
    comes(&running, 203).await;
    // Off by its own word. That nothing comes shows by what comes instead.
    write(&running, &responding("watch: false", 204));
    let before = status(&running).await["changes_made"].as_u64().unwrap();
    write(&running, &responding("watch: true", 205));
    assert_eq!(evener(&running, &["reload"]).await.0, 0);
    assert_eq!(status(&running).await["changes_made"], before + 1);
    write(&running, &responding("watch: true", 206));
    comes(&running, 206).await;
}
