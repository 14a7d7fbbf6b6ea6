//! Processes that are told to end while one takes the place of the other.

use std::net::{SocketAddr, TcpListener};

use rustix::process::Signal;
use tokio::net::{TcpStream, UnixStream};

use crate::support::{Client, eventually};

use super::super::control::{GET, Gated, status};
use super::super::reload::{answer, responding};
use super::super::{Running, send};
use super::{Slow, only, upgrade};

async fn is_refused(address: SocketAddr) -> bool {
    TcpStream::connect(address).await.is_err()
}

#[tokio::test]
async fn a_new_process_that_still_comes_up_does_not_serve_when_the_old_one_was_told_to_end() {
    let mut running = Running::start(&responding("", 200), 1).await;
    let slow = Slow::begin_well(&running).await;
    running.signal(Signal::TERM);
    assert_eq!(running.exit_code().await, Some(0));
    let (code, out, err) = slow.go_on(&running).await;
    assert_eq!((code, &*out), (1, ""), "{err}");
    eventually("nobody is left", async || running.processes_of_any_kind().is_empty()).await;
    assert!(is_refused(running.address()).await);
    assert!(!running.has_told("this process serves now"));
}

#[tokio::test]
async fn a_new_process_does_not_serve_while_the_old_one_drains_on_its_own() {
    let mut gated = Gated::start().await;
    let mut client = gated.begin().await;
    let slow = Slow::begin_well(&gated.running).await;
    gated.running.signal(Signal::TERM);
    gated.running.tells("draining ").await;
    let (code, out, err) = slow.go_on(&gated.running).await;
    assert_eq!((code, &*out), (1, ""), "{err}");
    assert!(err.contains("this process was asked to end meanwhile"), "{err}");
    only(&gated.running, &[gated.running.id()]).await;
    assert_eq!(status(&gated.running).await["draining"], true);
    assert!(is_refused(gated.running.address()).await);
    gated.gate.add_permits(1);
    assert_eq!(client.response().await.text(), "ok");
    assert_eq!(gated.running.exit_code().await, Some(0));
    assert!(!gated.running.has_told("this process serves now"));
}

#[tokio::test]
async fn nobody_comes_back_for_a_new_process_that_was_told_to_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut gated = Gated::start().await;
        let mut client = gated.begin().await;
        let new = upgrade(&gated.running, &[]).await;
        send(new, signal);
        only(&gated.running, &[gated.running.id()]).await;
        let address = gated.running.address();
        eventually("the address is free", async || TcpListener::bind(address).is_ok()).await;
        gated.gate.add_permits(1);
        assert_eq!(client.response().await.text(), "ok");
        assert_eq!(gated.running.exit_code().await, Some(0));
        assert!(!gated.running.has_told("this one serves again"), "{signal:?}");
    }
}

#[tokio::test]
async fn an_old_process_that_is_told_to_end_cuts_what_it_has() {
    let mut gated = Gated::start().await;
    let mut client = gated.begin().await;
    let new = upgrade(&gated.running, &[]).await;
    gated.running.signal(Signal::TERM);
    assert_eq!(gated.running.exit_code().await, Some(0));
    gated.running.tells("drain cut short http=1 ").await;
    assert_ne!(String::from_utf8(client.rest().await).unwrap().lines().next(), Some("HTTP/1.1 200 OK"));
    only(&gated.running, &[new]).await;
}

#[tokio::test]
async fn files_of_sockets_stay_as_long_as_somebody_serves() {
    let two =
        responding("", 200).replace("127.0.0.1:0 } }", "127.0.0.1:0 }, local: { bind: 'unix:edge.sock' } }");
    let mut running = Running::start(&two, 1).await;
    let local = async || {
        let mut client = Client::over(UnixStream::connect(running.file("edge.sock")).await.unwrap());
        client.send(GET).await;
        client.response().await.status
    };
    assert_eq!(local().await, 200);
    let new = upgrade(&running, &[]).await;
    assert_eq!(local().await, 200);
    only(&running, &[new]).await;
    assert_eq!((local().await, answer(&running).await), (200, 200));
    let last = upgrade(&running, &[]).await;
    assert_eq!(local().await, 200);
    // The one before still lingers.
    send(last, Signal::TERM);
    eventually("nobody is left", async || running.processes_of_any_kind().is_empty()).await;
    assert_eq!(running.exit_code().await, Some(0));
    assert!(!running.has_told("this one serves again"));
    assert!(!running.file("run/evener.sock").exists());
    assert!(!running.file("edge.sock").exists());
}
