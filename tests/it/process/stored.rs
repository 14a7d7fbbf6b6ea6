//! Stored answers on a disk, over the ends of processes.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::Signal;

use crate::support::{Client, Endpoint, Response, eventually};

use super::control::{Started, evener};
use super::{Place, Running};

const LONG: usize = 2 << 20;

fn config(endpoint: &Endpoint, folder: &Path) -> String {
    format!(
        "server: {{ caches: {{ main: {{ max_object: 8MiB, disk: {{ path: '{}', size: 64MiB }} }} }} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ app: {{ endpoints: ['{}'] }} }}
routes: [{{ filters: [{{ cache: {{ in: main }} }}], pool: app }}]
log: {{ access: {{ format: off }} }}
",
        folder.display(),
        endpoint.address()
    )
}

/// One whose answers are too long for memory, and tell their number at each place, and their path.
async fn endpoint() -> Endpoint {
    let count = AtomicUsize::new(0);
    Endpoint::with(move |request| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let body = format!("{} {number:08} ", request.path()).repeat(LONG / 10);
        format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    })
    .await
}

async fn get(running: &Running, path: &str) -> Response {
    let mut client = Client::connect(running.address()).await;
    client.send(format!("GET {path} HTTP/1.1\r\nHost: example.com\r\nConnection: close\r\n\r\n")).await;
    client.response().await
}

fn is_hit(response: &Response) -> bool {
    response.header("cache-status").is_some_and(|status| status.starts_with("evener; hit"))
}

/// Whether it is one answer from its beginning to its end.
fn is_of_one_piece(response: &Response, path: &str) -> bool {
    let text = response.text();
    let unit = path.len() + 10;
    let first = &text[..unit];
    first.starts_with(path) && text.as_bytes().chunks(unit).all(|part| part == first.as_bytes())
}

#[tokio::test]
async fn a_process_that_takes_over_has_the_files_and_their_purges() {
    let endpoint = endpoint().await;
    let folder = tempfile::tempdir().unwrap();
    let running = Running::start(&config(&endpoint, folder.path()), 1).await;
    eventually("they are stored", async || {
        is_hit(&get(&running, "/a").await) && is_hit(&get(&running, "/b").await)
    })
    .await;
    let stored = get(&running, "/a").await;
    // The old process stays for as long as somebody is served.
    let mut held = Client::connect(running.address()).await;
    held.send("GET /held HTTP/1.1\r\nHost: example.com\r\n").await;
    assert_eq!(Started::new(&running.file(""), &["upgrade"]).ended().await.0, 0);
    eventually("the new process has the files", async || {
        let found = get(&running, "/a").await;
        is_hit(&found) && found.body == stored.body
    })
    .await;
    let (code, out, err) = evener(&running, &["purge", "http://example.com/a"]).await;
    assert_eq!((code, &*out), (0, "1 removed\n"), "{err}");
    assert!(!is_hit(&get(&running, "/a").await));
    assert!(is_hit(&get(&running, "/b").await));
    drop(held);
}

#[tokio::test]
async fn after_a_kill_no_answer_is_wrong() {
    let endpoint = endpoint().await;
    let folder = tempfile::tempdir().unwrap();
    let config = config(&endpoint, folder.path());
    let mut hits = 0;
    for round in 0..8 {
        let mut running = Running::start(&config, 1).await;
        for number in 0..6 {
            let path = format!("/{number}");
            let response = get(&running, &path).await;
            assert!(is_of_one_piece(&response, &path), "{round} {path}");
            hits += usize::from(is_hit(&response));
        }
        // In the middle of some others.
        let mut clients = Vec::new();
        for number in 6..10 {
            let mut client = Client::connect(running.address()).await;
            client.send(format!("GET /{number} HTTP/1.1\r\nHost: example.com\r\n\r\n")).await;
            clients.push(client);
        }
        for client in clients.iter_mut().take(round % 5) {
            client.head().await;
        }
        running.signal(Signal::KILL);
        running.exit_code().await;
    }
    let running = Running::start(&config, 1).await;
    for number in 0..10 {
        let path = format!("/{number}");
        assert!(is_of_one_piece(&get(&running, &path).await, &path), "{path}");
    }
    assert!(hits > 6, "{hits}: what was stored is found again");
}

#[tokio::test]
async fn a_process_that_is_started_does_not_take_the_files_of_another() {
    let endpoint = endpoint().await;
    let folder = tempfile::tempdir().unwrap();
    let config = config(&endpoint, folder.path());
    let running = Running::start(&config, 1).await;
    eventually("it is stored", async || is_hit(&get(&running, "/a").await)).await;
    let place = Place::with(&config);
    let (code, _, errors) = Started::new(place.path(), &["run", "-c", "edge.yaml"]).ended().await;
    let process = format!("another process has it ({})", running.id());
    assert!(code != 0 && errors.contains(&process) && errors.contains("`evener upgrade`"), "{code} {errors}");
    assert_eq!(Started::new(place.path(), &["check", "-c", "edge.yaml"]).ended().await.0, 0);
    let (code, status, _) = evener(&running, &["status"]).await;
    let disk = format!(" of 64 MiB in {}\n", folder.path().display());
    assert!(code == 0 && status.contains("\ncache main  ") && status.contains(&disk), "{status}");
    assert!(is_hit(&get(&running, "/a").await));
    assert_eq!(running.status().await["caches"][0]["disk"]["state"], "in_use");
}
