//! New processes that die while the old one can still come back.

use std::net::SocketAddr;

use rustix::process::Signal;
use tokio::net::{TcpStream, UnixStream};

use crate::support::{Client, eventually};

use super::super::control::{GET, Gated, config};
use super::super::reload::responding;
use super::super::{Running, send};
use super::{only, serving, upgrade};

const ONE: &str = "127.0.0.1:0 } }";
/// The listeners that only the old configuration has.
const MORE: &str = "127.0.0.1:0 }, more: { bind: 127.0.0.1:0 }, local: { bind: 'unix:edge.sock' } }";

async fn status_at(address: SocketAddr) -> u16 {
    let mut client = Client::connect(address).await;
    client.send(GET).await;
    client.response().await.status
}

async fn status_at_file(running: &Running) -> u16 {
    let mut client = Client::over(UnixStream::connect(running.file("edge.sock")).await.unwrap());
    client.send(GET).await;
    client.response().await.status
}

/// Kills the process, and waits until the first one serves again.
async fn kill(running: &Running, id: u32) {
    send(id, Signal::KILL);
    running.tells("the new process died, this one serves again").await;
    eventually("the old one answers", async || running.evener(&["status"]).await.0 == 0).await;
    assert_eq!(serving(running).await, running.id());
    only(running, &[running.id()]).await;
}

#[tokio::test]
async fn the_old_process_serves_again_on_all_its_listeners() {
    let less = responding("", 200);
    let running = Running::start(&less.replace(ONE, MORE), 1).await;
    std::fs::write(running.file("less.yaml"), &less).unwrap();
    let addresses = running.addresses();
    assert_eq!(addresses.len(), 2);
    let new = upgrade(&running, &["-c", "less.yaml"]).await;
    kill(&running, new).await;
    // The other one, whose port the kernel chooses, is bound anew as well, and has another.
    assert_eq!(status_at(addresses[0]).await, 200);
    assert_eq!(status_at_file(&running).await, 200);
    let new = upgrade(&running, &[]).await;
    assert_eq!(status_at(running.address()).await, 200);
    assert_eq!(status_at_file(&running).await, 200);
    only(&running, &[new]).await;
}

#[tokio::test]
async fn listeners_that_were_closed_meanwhile_are_served_again() {
    let gated = Gated::start_with(|text| text.replace(ONE, MORE)).await;
    let running = &gated.running;
    let text = std::fs::read_to_string(running.file("edge.yaml")).unwrap();
    std::fs::write(running.file("less.yaml"), text.replace(MORE, ONE)).unwrap();
    let mut client = gated.begin().await;
    let new = upgrade(running, &["-c", "less.yaml"]).await;
    eventually("they are closed", async || !running.file("edge.sock").exists()).await;
    kill(running, new).await;
    gated.gate.add_permits(3);
    assert_eq!(status_at_file(running).await, 200);
    assert_eq!(status_at(running.address()).await, 200);
    assert_eq!(client.response().await.status, 200);
}

#[tokio::test]
async fn a_process_that_came_back_can_be_followed_and_ends_as_any_other() {
    let mut running = Running::start(&config("endpoints: ['127.0.0.1:1']"), 1).await;
    for _ in 0..3 {
        let new = upgrade(&running, &[]).await;
        kill(&running, new).await;
    }
    running.signal(Signal::TERM);
    assert_eq!(running.exit_code().await, Some(0));
    assert!(TcpStream::connect(running.address()).await.is_err());
    assert!(!running.file("run/evener.sock").exists());
}
