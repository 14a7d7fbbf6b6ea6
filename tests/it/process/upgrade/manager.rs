//! What a service manager is told of two processes.

use rustix::process::Signal;

use crate::support::{Client, Endpoint, eventually};

use super::super::control::{GET, config, get, status};
use super::super::reload::{answer, responding};
use super::super::systemd::Manager;
use super::super::{Place, send};
use super::{Slow, serving, upgrade};

#[tokio::test]
async fn the_new_process_is_the_main_one_and_ready_once_it_serves() {
    let manager = Manager::new();
    let running = manager.starts(Place::with(&responding("", 200)), &[]).await;
    assert_eq!(manager.hears().await, ["READY=1", "STATUS=1 listener"]);
    let slow = Slow::begin_well(&running).await;
    let (code, _, err) = slow.go_on(&running).await;
    assert_eq!((code, &*err), (0, ""));
    let new = serving(&running).await;
    // Nothing was said of a process that did not serve yet.
    assert_eq!(manager.hears().await, [format!("MAINPID={new}")]);
    assert_eq!(manager.hears_of("READY=1").await, ["READY=1", "STATUS=1 listener"]);
    assert_eq!(answer(&running).await, 200);
    send(new, Signal::KILL);
    let old = running.id();
    assert_eq!(manager.hears_of(&format!("MAINPID={old}")).await, [format!("MAINPID={old}")]);
    eventually("the old one serves again", async || running.evener(&["status"]).await.0 == 0).await;
    assert_eq!((answer(&running).await, serving(&running).await), (200, old));
}

#[tokio::test]
async fn what_an_old_process_still_does_is_nothing_to_tell_a_manager() {
    let (endpoint, gate) = Endpoint::held().await;
    let other = Endpoint::answering("ok").await;
    let pool = format!(
        "balance: first, endpoints: ['{}', '{}'], health: {{ http: {{ path: / }}, interval: 1s, fall: 1 }}",
        endpoint.address(),
        other.address()
    );
    let manager = Manager::new();
    let running = manager.starts(Place::with(&config(&pool)), &[]).await;
    manager.hears_of("READY=1").await;
    eventually("both are fit", async || status(&running).await["pools"][0]["fit"] == 2).await;
    let mut client = Client::connect(running.address()).await;
    client.send(GET).await;
    eventually("the request is with the endpoint", async || endpoint.requests().len() == 1).await;
    let new = upgrade(&running, &[]).await;
    manager.hears_of(&format!("MAINPID={new}")).await;
    assert_eq!(manager.hears_of("READY=1").await[1], "STATUS=1 listener, 2 of 2 endpoints fit");
    drop(other);
    assert_eq!(manager.hears().await, ["STATUS=1 listener, 1 of 2 endpoints fit"]);
    gate.add_permits(2);
    assert_eq!(client.response().await.status, 200);
    assert_eq!(get(&running).await, 200);
}
