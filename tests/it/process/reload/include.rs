//! Files that another one includes.

use std::fs;

use crate::support::{Client, eventually};

use super::super::Running;
use super::super::control::evener;
use super::{answer, responding, write};

/// The status of the answer to a request for `/added`.
async fn added(running: &Running) -> u16 {
    let mut client = Client::connect(running.address()).await;
    client.send("GET /added HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.response().await.status
}

fn including(server: &str) -> String {
    format!("include: conf.d/*.yaml\n{}", responding(server, 201))
}

fn route(status: u16) -> String {
    format!("routes: [{{ name: added, match: {{ path: /added }}, respond: {{ status: {status} }} }}]\n")
}

#[tokio::test]
async fn files_that_come_and_go_are_served_by_themselves() {
    let running = Running::start(&including("watch: true"), 1).await;
    let comes = async |status| {
        eventually(&format!("{status} is served"), async || added(&running).await == status).await;
    };
    assert_eq!(added(&running).await, 201);
    let file = running.file("conf.d/a.yaml");
    fs::create_dir(running.file("conf.d")).unwrap();
    fs::write(&file, route(202)).unwrap();
    comes(202).await;
    fs::write(&file, route(203)).unwrap();
    comes(203).await;
    fs::remove_file(&file).unwrap();
    comes(201).await;
    // The main file is refused for what only it includes; to mend that is enough.
    fs::create_dir(running.file("more.d")).unwrap();
    fs::write(running.file("more.d/b.yaml"), "routes: [}\n").unwrap();
    write(&running, &including("watch: true").replace("conf.d", "more.d"));
    running.tells("configuration: more.d/b.yaml:1:10: ").await;
    assert_eq!(added(&running).await, 201);
    fs::write(running.file("more.d/b.yaml"), route(204)).unwrap();
    comes(204).await;
}

#[tokio::test]
async fn an_error_is_told_in_its_file_and_a_rollback_needs_no_files() {
    let running = Running::start(&including(""), 1).await;
    let file = running.file("conf.d/a.yaml");
    fs::create_dir(running.file("conf.d")).unwrap();
    fs::write(&file, route(202)).unwrap();
    assert_eq!(evener(&running, &["reload"]).await, (0, "+ routes.added\n".to_owned(), String::new()));
    assert_eq!(added(&running).await, 202);
    fs::write(&file, "routes:\n  - respond: { status: 2 }\n    colour: red\n").unwrap();
    let (code, _, err) = evener(&running, &["reload"]).await;
    assert_eq!(code, 64);
    assert!(err.contains("conf.d/a.yaml:3:5: routes[1].colour: unknown key `colour`"), "{err}");
    assert_eq!(evener(&running, &["check", "-c", "edge.yaml"]).await.2, err);
    assert_eq!(added(&running).await, 202);
    fs::remove_file(&file).unwrap();
    let (code, out, _) = evener(&running, &["diff", "-c", "edge.yaml"]).await;
    assert_eq!((code, &*out), (1, "- routes.added\n"));
    assert_eq!(evener(&running, &["reload"]).await.1, "- routes.added\n");
    assert_eq!(added(&running).await, 201);
    assert_eq!(evener(&running, &["rollback"]).await.1, "+ routes.added\n");
    assert_eq!((added(&running).await, answer(&running).await), (202, 201));
}
