use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, sleep};

use super::super::{ClosedBy, End, Pipes, RelayLimits};
use super::{LIMITS, Running, Scene, assert_reset, flood, last_read};

const IDLE: Duration = Duration::from_secs(60);

async fn with_limits(limits: RelayLimits) -> Running {
    Scene::new(limits, &Pipes::new(1)).await.start()
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_rests_too_long_ends_cleanly() {
    let began = Instant::now();
    let Running { mut client, mut endpoint, relay } = with_limits(RelayLimits { idle: IDLE, ..LIMITS }).await;
    let relayed = relay.await.unwrap();
    assert_eq!((relayed.end, relayed.closed_by), (End::IdleTimeout, ClosedBy::Edge));
    assert_eq!(began.elapsed().as_secs(), IDLE.as_secs());
    assert_eq!(last_read(&mut client).await.unwrap(), 0);
    assert_eq!(last_read(&mut endpoint).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn every_byte_postpones_the_end() {
    let began = Instant::now();
    let mut running = with_limits(RelayLimits { idle: IDLE, ..LIMITS }).await;
    for _ in 0..5 {
        sleep(IDLE * 9 / 10).await;
        running.exchange().await;
    }
    assert_eq!(running.relay.await.unwrap().end, End::IdleTimeout);
    assert_eq!(began.elapsed().as_secs(), (IDLE * 55 / 10).as_secs());
}

#[tokio::test(start_paused = true)]
async fn a_half_closed_connection_may_not_rest_for_ever_either() {
    let Running { mut client, endpoint: _endpoint, relay } =
        with_limits(RelayLimits { idle: IDLE, ..LIMITS }).await;
    client.shutdown().await.unwrap();
    let relayed = relay.await.unwrap();
    assert_eq!((relayed.end, relayed.closed_by), (End::IdleTimeout, ClosedBy::Edge));
}

#[tokio::test(start_paused = true)]
async fn bytes_that_nobody_takes_end_in_a_reset() {
    let Running { client, mut endpoint, relay } = with_limits(RelayLimits { idle: IDLE, ..LIMITS }).await;
    let flood = tokio::spawn(flood(client));
    assert_eq!(relay.await.unwrap().end, End::IdleTimeout);
    assert_eq!(flood.await.unwrap().kind(), io::ErrorKind::ConnectionReset);
    assert_reset(last_read(&mut endpoint).await);
}

#[tokio::test(start_paused = true)]
async fn a_lifetime_ends_what_is_busy() {
    let lifetime = Duration::from_secs(10);
    let began = Instant::now();
    let Running { mut client, mut endpoint, relay } =
        with_limits(RelayLimits { idle: IDLE, lifetime: Some(lifetime) }).await;
    let chatter = tokio::spawn(async move {
        loop {
            sleep(Duration::from_millis(300)).await;
            if client.write_all(b"tick").await.is_err() {
                break;
            }
        }
    });
    let last = last_read(&mut endpoint).await;
    assert_eq!(began.elapsed().as_secs(), lifetime.as_secs());
    assert_reset(last);
    let relayed = relay.await.unwrap();
    assert_eq!((relayed.end, relayed.closed_by), (End::LifetimeOver, ClosedBy::Edge));
    chatter.await.unwrap();
}
