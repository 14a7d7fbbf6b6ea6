//! The files of Unix listeners, which go with the last process that serves them.

use rustix::process::Signal;
use tokio::net::UnixStream;

use crate::support::{Client, eventually};

use super::control::GET;
use super::run::{Running, send};

const CONFIG: &str = "listeners: { web: { bind: ['127.0.0.1:0', 'unix:edge.sock'] } }
routes: [{ respond: {} }]
log: { access: { format: off } }
";

async fn is_served(running: &Running) -> bool {
    let Ok(stream) = UnixStream::connect(running.file("edge.sock")).await else { return false };
    let mut client = Client::over(stream);
    client.send(GET).await;
    client.response().await.status == 200
}

#[tokio::test]
async fn a_process_that_ends_removes_them() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut running = Running::start(CONFIG, 1).await;
        assert!(is_served(&running).await);
        running.signal(signal);
        assert_eq!(running.exit_code().await, Some(0));
        assert!(!running.file("edge.sock").exists(), "{signal:?}");
    }
}

#[tokio::test]
async fn a_process_leaves_them_to_its_successor() {
    let mut running = Running::start(CONFIG, 1).await;
    let (code, _, err) = running.evener(&["upgrade"]).await;
    assert_eq!((code, &*err), (0, ""));
    let new = u32::try_from(running.status().await["process"].as_u64().unwrap()).unwrap();
    // It cuts what is left, and ends.
    running.signal(Signal::TERM);
    assert_eq!(running.exit_code().await, Some(0));
    assert!(is_served(&running).await);
    send(new, Signal::TERM);
    eventually("the new process has ended", async || running.processes().is_empty()).await;
    assert!(!running.file("edge.sock").exists());
}

#[tokio::test]
async fn one_that_somebody_else_has_put_there_stays() {
    let mut running = Running::start(CONFIG, 1).await;
    let path = running.file("edge.sock");
    std::fs::remove_file(&path).unwrap();
    let _other = std::os::unix::net::UnixListener::bind(&path).unwrap();
    running.signal(Signal::TERM);
    assert_eq!(running.exit_code().await, Some(0));
    assert!(path.exists());
}
