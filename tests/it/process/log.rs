use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::Instant;

use crate::support::{Client, eventually};

use super::run::Running;

fn config(sink: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
routes: [{{ respond: {{}} }}]
log: {{ access: {{ to: {sink} }} }}
"
    )
}

async fn get(client: &mut Client, path: &str) {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
    assert_eq!(client.response().await.status, 200);
}

/// The lines of a file once there are `count` of them.
async fn lines_of(path: &Path, count: usize) -> Vec<serde_json::Value> {
    let read = || std::fs::read_to_string(path).unwrap_or_default();
    eventually("the lines are written", async || read().lines().count() >= count).await;
    let lines: Vec<_> = read().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), count);
    lines
}

#[tokio::test]
async fn a_sink_that_nobody_reads_does_not_hold_up_the_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut running = Running::start_with(&config("stdout"), 1, Stdio::piped()).await;
        let mut client = Client::connect(running.address()).await;
        // Far more than a pipe of 64 KiB takes.
        for _ in 0..30 {
            client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100)).await;
            for _ in 0..100 {
                assert_eq!(client.response().await.status, 200);
            }
        }
        let begun = Instant::now();
        running.signal(signal);
        assert_eq!(running.exit_code().await, Some(0));
        assert!(begun.elapsed() < Duration::from_secs(8), "{:?}", begun.elapsed());
        running.tells("access log lines were not written in time lines=").await;
    }
}

#[tokio::test]
async fn sigusr1_opens_the_file_again() {
    let running = Running::start(&config("access.log"), 1).await;
    let (path, kept) = (running.file("access.log"), running.file("access.log.1"));
    let mut client = Client::connect(running.address()).await;
    get(&mut client, "/first").await;
    lines_of(&path, 1).await;
    std::fs::rename(&path, &kept).unwrap();
    running.signal(Signal::USR1);
    running.tells("access log opened again path=access.log").await;
    get(&mut client, "/second").await;
    assert_eq!(lines_of(&path, 1).await[0]["target"], "/second");
    assert_eq!(lines_of(&kept, 1).await[0]["target"], "/first");
}

#[tokio::test]
async fn sighup_and_sigusr1_leave_the_process_serving() {
    let mut running = Running::start(&config("stdout"), 1).await;
    let mut client = Client::connect(running.address()).await;
    running.signal(Signal::USR1);
    running.signal(Signal::HUP);
    running.tells("configuration is served generation=1 why=signal").await;
    get(&mut client, "/").await;
    assert!(running.is_running());
}

#[tokio::test]
async fn a_refused_header_is_a_line_without_what_it_has_not() {
    let running = Running::start(&config("access.log"), 1).await;
    let mut client = Client::connect(running.address()).await;
    client.send("GET / HTTP/1.1\r\nHost : a\r\n\r\n").await;
    let response = client.response().await;
    assert_eq!(response.status, 400);
    let line = lines_of(&running.file("access.log"), 1).await.remove(0);
    assert_eq!(line["bytes_out"], response.body.len());
    for key in ["request_id", "method", "host", "target", "route", "user_agent"] {
        assert_eq!(line.get(key), None, "{line}");
    }
}
