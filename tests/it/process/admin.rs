//! The admin listener over the life of a process: its start, another process after it, its end.

use rustix::process::Signal;

use crate::support::{Client, eventually};

use super::control::{Gated, evener};
use super::{Running, send};

const ADMIN: &str = "admin: { bind: 127.0.0.1:0 }\nlisteners:";

async fn gated() -> Gated {
    Gated::start_with(|text| text.replace("listeners:", ADMIN)).await
}

async fn ask(client: &mut Client, path: &str) -> (u16, String) {
    client.send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n")).await;
    let told = client.response().await;
    (told.status, told.text().to_owned())
}

pub(super) async fn read(running: &Running, path: &str) -> (u16, String) {
    ask(&mut Client::connect(running.admin_address()).await, path).await
}

/// The generation that a process at this address tells, and when the process began.
async fn told(running: &Running) -> (String, String) {
    let (_, text) = read(running, "/metrics").await;
    let value = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).unwrap();
        line.rsplit(' ').next().unwrap().to_owned()
    };
    (value("evener_config_generation "), value("process_start_time_seconds "))
}

#[tokio::test]
async fn it_answers_to_the_end_of_a_drain() {
    let mut gated = gated().await;
    let mut client = gated.begin().await;
    assert_eq!(read(&gated.running, "/readyz").await, (200, "ready\n".to_owned()));
    let mut kept = Client::connect(gated.running.admin_address()).await;
    assert_eq!(ask(&mut kept, "/healthz").await.0, 200);
    gated.running.signal(Signal::TERM);
    eventually("it is not ready", async || {
        read(&gated.running, "/readyz").await == (503, "draining\n".to_owned())
    })
    .await;
    assert_eq!(ask(&mut kept, "/healthz").await, (200, "ok\n".to_owned()));
    assert!(read(&gated.running, "/metrics").await.1.contains("\nevener_draining 1\n"));
    gated.gate.add_permits(1);
    assert_eq!(client.response().await.status, 200);
    assert_eq!(gated.running.exit_code().await, Some(0));
}

#[tokio::test]
async fn it_says_so_while_clients_are_still_accepted() {
    let running = Running::start(
        "server: { drain: { accept_grace: 60s } }
admin: { bind: 127.0.0.1:0 }
listeners: { web: { bind: 127.0.0.1:0 } }
routes: [{ respond: {} }]
log: { access: { format: off } }
",
        1,
    )
    .await;
    assert_eq!(read(&running, "/readyz").await.0, 200);
    running.signal(Signal::TERM);
    eventually("it is not ready", async || read(&running, "/readyz").await.0 == 503).await;
    let mut client = Client::connect(running.address()).await;
    assert_eq!(ask(&mut client, "/").await.0, 200);
}

#[tokio::test]
async fn after_an_upgrade_the_new_process_answers() {
    let mut gated = gated().await;
    let mut client = gated.begin().await;
    let mut kept = Client::connect(gated.running.admin_address()).await;
    assert_eq!(ask(&mut kept, "/healthz").await.0, 200);
    let before = told(&gated.running).await;
    assert_eq!(evener(&gated.running, &["upgrade"]).await.0, 0);
    // The old process has work yet, but nobody is to scrape it.
    assert!(kept.is_closed().await);
    for _ in 0..20 {
        let after = told(&gated.running).await;
        assert_eq!(after.0, before.0);
        assert_ne!(after.1, before.1);
        assert_eq!(read(&gated.running, "/readyz").await.0, 200);
    }
    gated.gate.add_permits(1);
    assert_eq!(client.response().await.status, 200);
    assert_eq!(gated.running.exit_code().await, Some(0));
    assert_eq!(read(&gated.running, "/healthz").await.0, 200);
}

#[tokio::test]
async fn the_old_process_answers_again_when_the_new_one_dies() {
    let gated = gated().await;
    let _client = gated.begin().await;
    let before = told(&gated.running).await;
    assert_eq!(evener(&gated.running, &["upgrade"]).await.0, 0);
    let new = gated.running.status().await["process"].as_u64().unwrap();
    send(u32::try_from(new).unwrap(), Signal::KILL);
    gated.running.tells("the new process died, this one serves again").await;
    assert_eq!(told(&gated.running).await, before);
    assert_eq!(read(&gated.running, "/readyz").await.0, 200);
}

#[tokio::test]
async fn a_new_process_without_it_leaves_nobody_waiting() {
    let gated = gated().await;
    let _client = gated.begin().await;
    let text = std::fs::read_to_string(gated.running.file("edge.yaml")).unwrap();
    std::fs::write(gated.running.file("edge.yaml"), text.replace(ADMIN, "listeners:")).unwrap();
    assert_eq!(evener(&gated.running, &["upgrade"]).await.0, 0);
    let address = gated.running.admin_address();
    eventually("nobody accepts", async || tokio::net::TcpStream::connect(address).await.is_err()).await;
}
