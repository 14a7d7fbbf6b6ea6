//! Files that are longer than memory should be, and clients that are in no hurry.

use std::fs::File;
use std::path::Path;

use http::Request;
use tokio::time::timeout;

use crate::process::Running;
use crate::support::{Client, PATIENCE, eventually};
use crate::wire::http2::H2;

use super::Site;

const GIB: u64 = 1 << 30;

/// The memory of a process that is backed by no file, in KiB.
fn memory_of(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// A file that takes no room.
fn make_long(path: &Path, length: u64) {
    File::create(path).unwrap().set_len(length).unwrap();
}

#[tokio::test]
async fn clients_that_do_not_read_hold_next_to_no_memory() {
    const CLIENTS: usize = 100;
    let config = "listeners: { web: { bind: 127.0.0.1:0 } }\nroutes: [{ files: { root: . } }]\nlog: { access: { format: off } }\n";
    let running = Running::start(config, 1).await;
    make_long(&running.file("long"), GIB);
    let before = memory_of(running.id());
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let mut client = Client::connect(running.address()).await;
        client.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n").await;
        client.head().await;
        clients.push(client);
    }
    let held = memory_of(running.id()).saturating_sub(before);
    assert!(held < 64 * 1024, "{held} KiB for {CLIENTS} clients");
    // One reads on, and is sent what it asked for.
    let first = clients.swap_remove(0).exactly(64 << 20).await;
    assert!(first.iter().all(|&byte| byte == 0));
    let held = memory_of(running.id()).saturating_sub(before);
    assert!(held < 64 * 1024, "{held} KiB after 64 MiB");
}

#[tokio::test]
async fn windows_of_http2_bound_what_is_read() {
    let site = Site::with("", &[]).await;
    make_long(&site.path("long"), GIB);
    let h2 = H2::connect(&site.edge).await;
    let response = h2.start(Request::get("http://example.com/long"), "").await;
    let response = timeout(PATIENCE, response).await.unwrap().unwrap();
    assert_eq!(response.headers()["content-length"].to_str().unwrap(), GIB.to_string());
    let mut body = response.into_body();
    let mut read = 0;
    while read < 4 << 20 {
        let piece = timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        read += piece.len();
    }
    drop(body);
    let line = site.edge.log_of(1).await.remove(0);
    let sent = line["bytes_out"].as_u64().unwrap();
    assert!((4 << 20..8 << 20).contains(&sent), "{line}");
}

#[tokio::test]
async fn a_file_that_shrinks_breaks_its_answer_off() {
    let site = Site::with("", &[]).await;
    let whole = 64 << 20;
    for is_h2 in [false, true] {
        make_long(&site.path("long"), whole);
        if is_h2 {
            let h2 = H2::connect(&site.edge).await;
            let response = h2.start(Request::get("http://example.com/long"), "").await;
            let mut body = timeout(PATIENCE, response).await.unwrap().unwrap().into_body();
            make_long(&site.path("long"), 1000);
            loop {
                match timeout(PATIENCE, body.data()).await.unwrap() {
                    Some(Ok(piece)) => body.flow_control().release_capacity(piece.len()).unwrap(),
                    Some(Err(error)) => break assert!(error.is_reset(), "{error}"),
                    None => panic!("the answer ends as if it were whole"),
                }
            }
        } else {
            let mut client = site.edge.connect().await;
            client.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n").await;
            client.head().await;
            make_long(&site.path("long"), 1000);
            assert!((client.rest().await.len() as u64) < whole, "the connection ends before the answer does");
        }
    }
    eventually("both are told of", async || {
        site.edge.log().iter().filter(|line| line["cause"] == "answer_broken").count() == 2
    })
    .await;
}
