use std::path::{Path, PathBuf};

use tokio::io::AsyncReadExt;

use super::{ask, did};
use crate::support::{Edge, Endpoint, eventually};

const LONG: usize = 5 << 20;

fn config(endpoint: &Endpoint, folder: &Path, disk: &str) -> String {
    let folder = folder.display();
    format!(
        "server: {{ caches: {{ main: {{ memory: 2MiB, max_object: 8MiB, disk: {{ path: '{folder}', {disk} }} }} }} }}\n\
         listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ endpoints: ['{}'] }} }}\n\
         routes: [{{ filters: [{{ cache: {{ in: main }} }}], pool: app }}]\n\
         log: {{ access: {{ to: LOG }} }}\n",
        endpoint.address()
    )
}

/// One that answers `/long` with a long body, and all else with a number.
async fn endpoint() -> Endpoint {
    let long = "0123456789abcdef".repeat(LONG / 16);
    let count = std::sync::atomic::AtomicUsize::new(0);
    Endpoint::with(move |request| {
        let number = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        let body = if request.path() == "/long" { long.clone() } else { format!("answer {number}") };
        let length = body.len();
        format!(
            "HTTP/1.1 200 OK\r\nCache-Control: max-age=600\r\nVary: Accept\r\nCache-Tag: {}\r\nContent-Length: {length}\r\n\r\n{body}",
            request.path().trim_start_matches('/'),
        )
    })
    .await
}

/// The files with answers.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder)
            .map_or_else(|_| Vec::new(), |entries| entries.map(|entry| entry.unwrap().path()).collect())
    };
    let shelves = entries(&folder.join("v1")).into_iter().filter(|path| !path.ends_with("tmp"));
    shelves.filter(|path| path.is_dir()).flat_map(|shelf| entries(&shelf)).collect()
}

/// Asks until the cache has its folder, so that what comes next is stored there.
async fn settle(edge: &Edge, folder: &Path) {
    let mut number = 0;
    eventually("the folder is the edge's", async || {
        number += 1;
        edge.get(&format!("/settle/{number}")).await;
        !files(folder).is_empty()
    })
    .await;
}

#[tokio::test]
async fn what_is_stored_is_there_after_a_restart() {
    let endpoint = endpoint().await;
    let place = tempfile::tempdir().unwrap();
    let config = config(&endpoint, place.path(), "size: 64MiB");
    let edge = Edge::start(&config).await;
    settle(&edge, place.path()).await;
    let before = edge.get("/short").await;
    let html = ask(&edge, "Accept: text/html\r\n").await;
    let long = edge.get("/long").await;
    assert_eq!(long.body.len(), LONG);
    let again = edge.get("/long").await;
    assert!(again.body == long.body && did(&again).starts_with("evener; hit"), "{}", did(&again));
    let known = endpoint.requests().len();
    eventually("all is stored", async || files(place.path()).len() >= 4).await;
    let mut kept = files(place.path()).len();
    eventually("no more comes", async || std::mem::replace(&mut kept, files(place.path()).len()) == kept)
        .await;
    edge.stop().await;

    let edge = Edge::start(&config).await;
    let mut tries = 0;
    eventually("it is found", async || {
        tries += 1;
        did(&edge.get("/short").await).starts_with("evener; hit")
    })
    .await;
    assert_eq!(
        edge.get("/short").await.text() == before.text(),
        tries == 1,
        "what is asked for first is fetched"
    );
    assert_eq!(ask(&edge, "Accept: text/html\r\n").await.text(), html.text());
    let part =
        edge.send("GET /long HTTP/1.1\r\nHost: example.com\r\nRange: bytes=3000000-3000015\r\n\r\n").await;
    assert_eq!((part.status, part.text()), (206, "0123456789abcdef"));
    let whole = edge.get("/long").await;
    assert!(whole.body == long.body);
    let asked = endpoint.requests().iter().skip(known).filter(|request| request.path() == "/long").count();
    assert_eq!(asked, 0);
}

#[tokio::test]
async fn a_body_that_has_changed_on_the_disk_is_never_given() {
    let endpoint = endpoint().await;
    let place = tempfile::tempdir().unwrap();
    let edge = Edge::start(&config(&endpoint, place.path(), "size: 64MiB")).await;
    settle(&edge, place.path()).await;
    let whole = edge.get("/long").await;
    let long = || files(place.path()).into_iter().find(|file| file.metadata().unwrap().len() > LONG as u64);
    let file = long().expect("it is stored when its end has come");
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[LONG / 2] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let mut client = edge.connect().await;
    client.send("GET /long HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    client.head().await;
    let (mut stream, mut given) = client.into_parts();
    // Cut off, where it cannot be taken back any more.
    let _ = stream.read_to_end(&mut given).await;
    assert!(given.len() < LONG / 2 && whole.body.starts_with(&given), "{}", given.len());
    assert!(long().is_none(), "it is gone");
    let fetched = edge.get("/long").await;
    assert!(fetched.body == whole.body && did(&fetched).contains("stored"), "{}", did(&fetched));
    let mut bytes = std::fs::read(&file).unwrap();
    bytes[10_000] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let fetched = edge.get("/long").await;
    assert!(fetched.body == whole.body && did(&fetched).contains("stored"), "{}", did(&fetched));
}

#[tokio::test]
async fn a_reload_may_change_folder_and_size() {
    let endpoint = endpoint().await;
    let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let edge = Edge::start(&config(&endpoint, one.path(), "size: 64MiB")).await;
    settle(&edge, one.path()).await;
    let kept = edge.get("/long").await;
    edge.reload(&config(&endpoint, one.path(), "size: 32MiB")).await;
    eventually("the same folder is had again", async || {
        did(&edge.get("/long").await).starts_with("evener; hit")
    })
    .await;
    edge.reload(&config(&endpoint, other.path(), "size: 32MiB")).await;
    settle(&edge, other.path()).await;
    assert!(did(&edge.get("/long").await).contains("fwd=uri-miss"));
    edge.reload(&config(&endpoint, one.path(), "size: 64MiB")).await;
    eventually("the first folder has it yet", async || {
        let found = edge.get("/long").await;
        found.body == kept.body && did(&found).starts_with("evener; hit")
    })
    .await;
}

#[tokio::test]
async fn a_folder_that_nobody_can_have_is_refused_and_one_that_is_lost_is_told() {
    let endpoint = endpoint().await;
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("file"), "").unwrap();
    let text = config(&endpoint, &place.path().join("file/cache"), "size: 64MiB");
    let error =
        evener::app::App::builder().load_text("edge.yaml", Path::new("/"), &text).map(|_| ()).unwrap_err();
    let error = error.to_string();
    assert!(
        error.starts_with("edge.yaml:1:") && error.contains("server.caches.main.disk.path: `"),
        "{error}"
    );
    assert!(error.contains("file` is no folder") && error.contains("help: name a folder"), "{error}");

    let folder = place.path().join("cache");
    let edge = Edge::start(&config(&endpoint, &folder, "size: 64MiB")).await;
    settle(&edge, &folder).await;
    std::fs::remove_dir_all(folder.join("v1")).unwrap();
    let long = edge.get("/long").await;
    assert_eq!((long.body.len(), did(&long)), (LONG, "evener; fwd=uri-miss"), "it is not stored");
    let short = edge.get("/short").await;
    assert_eq!(did(&short), "evener; fwd=uri-miss; stored", "in memory");
    assert_eq!(edge.get("/short").await.text(), short.text());
}

#[tokio::test]
async fn each_cache_has_a_folder_of_its_own() {
    let endpoint = endpoint().await;
    let place = tempfile::tempdir().unwrap();
    let config = config(&endpoint, place.path(), "size: 64MiB");
    let twice = config.replace(
        "main: {",
        &format!("first: {{ disk: {{ path: '{}', size: 1GiB }} }}, main: {{", place.path().display()),
    );
    let error =
        evener::app::App::builder().load_text("edge.yaml", Path::new("/"), &twice).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains("the cache `first` has this folder already"), "{error}");
}
