use std::time::Duration;

use super::support::{PATIENCE, Running, SETTINGS, client, echo, eventually, exchange};
use crate::l4::udp::{Discard, EndReason, UdpSettings};

#[tokio::test]
async fn a_drain_lets_flows_go_on_and_begins_none() {
    let settings = UdpSettings { idle: Duration::from_millis(500), ..SETTINGS };
    let running = Running::new("127.0.0.1:0", &[echo().await], settings);
    let old = client(running.address).await;
    exchange(&old, b"x").await;
    running.drain.send_replace(true);
    let new = client(running.address).await;
    new.send(b"x").await.unwrap();
    eventually("a new client gets nothing", || running.proxy.discards.of(Discard::Draining) == 1).await;
    exchange(&old, b"y").await;
    tokio::time::timeout(PATIENCE, running.task).await.expect("the run ends").unwrap().unwrap();
    assert_eq!(running.ends.lock()[0].reason, EndReason::Idle);
    assert_eq!(running.proxy.open_flows(), 0);
}

#[tokio::test]
async fn a_drain_without_flows_is_over_at_once() {
    let running = Running::new("127.0.0.1:0", &[echo().await], SETTINGS);
    running.drain.send_replace(true);
    tokio::time::timeout(PATIENCE, running.task).await.expect("the run ends").unwrap().unwrap();
}
