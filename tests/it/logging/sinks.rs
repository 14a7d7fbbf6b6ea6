//! Where lines go, and that nobody waits for that.

use std::os::unix::net::UnixDatagram;
use std::process::Command;

use crate::support::{Client, Edge, PATIENCE, eventually};

use super::count;

fn config(access: &str) -> String {
    format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
admin: {{ bind: 127.0.0.1:0 }}
routes: [{{ respond: {{}} }}]
log: {{ access: {{ {access} }} }}
"
    )
}

/// Has so many requests answered, hundreds at a time.
async fn ask(edge: &Edge, hundreds: usize) {
    for _ in 0..hundreds {
        let mut client = Client::connect(edge.address()).await;
        client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100)).await;
        for _ in 0..100 {
            assert_eq!(client.response().await.status, 200);
        }
    }
}

/// More than wait for a sink: 8192, and what a pipe and the writer hold.
const MANY: usize = 110;

#[tokio::test]
async fn a_pipe_that_nobody_empties_holds_up_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
    // Both ends, so that to open it waits for nobody.
    let _reader = std::fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    let edge = Edge::start(&config(&format!("to: '{}'", path.display()))).await;
    ask(&edge, MANY).await;
    assert!(count(&edge, "dropped").await > 0);
    assert_eq!(count(&edge, "failed").await, 0);
}

#[tokio::test]
async fn a_server_that_does_not_read_holds_up_no_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    let server = UnixDatagram::bind(&path).unwrap();
    let syslog = format!("to: syslog, syslog: {{ address: 'unix:{}' }}", path.display());
    let edge = Edge::start(&config(&syslog)).await;
    ask(&edge, MANY).await;
    let dropped = count(&edge, "dropped").await;
    assert!(dropped > 0);
    // It reads again, and all that waited comes.
    let waited = MANY * 100 - usize::try_from(dropped).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let read = tokio::task::spawn_blocking(move || {
        let mut buffer = [0; 4096];
        (0..waited).map(|_| server.recv(&mut buffer).unwrap()).filter(|length| *length > 0).count()
    });
    assert_eq!(read.await.unwrap(), waited);
    eventually("all is counted", async || count(&edge, "written").await == waited as u64).await;
}

#[tokio::test]
async fn the_sink_changes_with_a_reload() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("journal");
    let journal = UnixDatagram::bind(&path).unwrap();
    journal.set_read_timeout(Some(PATIENCE)).unwrap();
    let edge = Edge::start(&config("to: DIR/access.log")).await;
    let journald =
        format!("to: journald, journald: {{ socket: '{}' }}, fields: [status, route]", path.display());
    edge.reload(&config(&journald)).await;
    edge.get("/").await;
    let received = tokio::task::spawn_blocking(move || {
        let mut buffer = [0; 4096];
        let length = journal.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    });
    assert_eq!(
        received.await.unwrap(),
        "PRIORITY=6\nSYSLOG_IDENTIFIER=evener\nEVENER_STATUS=200\nEVENER_ROUTE=route-1\n\
         MESSAGE={\"status\":200,\"route\":\"route-1\"}\n"
    );
}
