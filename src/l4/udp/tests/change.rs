use std::time::Duration;

use tokio::time::Instant;

use super::support::{Running, SETTINGS, client, echo, eventually, exchange, named_pool};
use crate::l4::udp::{EndReason, UdpSettings};
use crate::pools::Health;

#[tokio::test]
async fn flows_stay_where_they_are_and_new_ones_begin_in_the_new_pool() {
    let (before, after) = (echo().await, echo().await);
    let running = Running::new("127.0.0.1:0", &[before], SETTINGS);
    let old = client(running.address).await;
    assert_eq!(exchange(&old, b"x").await, before.port());
    let pool = named_pool("next", &[after], "", Instant::now());
    running.proxy.change(pool.clone(), SETTINGS);
    assert_eq!(exchange(&client(running.address).await, b"x").await, after.port());
    assert_eq!(exchange(&old, b"x").await, before.port());
    assert_eq!((running.pool.in_flight(), pool.in_flight()), (1, 1));

    // Not for ever, if the endpoint that is left behind is no longer fit.
    let left = &running.pool.endpoints()[0];
    running.pool.set_health(left, Health::Unfit { is_reachable: true }, Instant::now());
    assert_eq!(exchange(&old, b"x").await, after.port());
    let end = running.ends.lock()[0].clone();
    assert_eq!((end.reason, end.pool.as_str()), (EndReason::EndpointUnfit, "app"));
    assert_eq!((running.pool.in_flight(), pool.in_flight()), (0, 2));
}

/// The driver sleeps until the flow would have ended by the old limit.
#[tokio::test]
async fn a_shorter_idle_time_ends_flows_that_there_are() {
    let running = Running::new("127.0.0.1:0", &[echo().await], SETTINGS);
    exchange(&client(running.address).await, b"x").await;
    let idle = Duration::from_millis(50);
    running.proxy.change(running.pool.clone(), UdpSettings { idle, ..SETTINGS });
    eventually("the flow ends", || running.reasons() == [EndReason::Idle]).await;
}

#[tokio::test]
async fn the_flows_that_are_too_many_now_end() {
    let running = Running::new("127.0.0.1:0", &[echo().await], SETTINGS);
    let clients =
        [client(running.address).await, client(running.address).await, client(running.address).await];
    for client in &clients {
        exchange(client, b"x").await;
    }
    running.proxy.change(running.pool.clone(), UdpSettings { flows: 1, ..SETTINGS });
    eventually("two of them end", || running.proxy.open_flows() == 1).await;
    assert_eq!(running.reasons(), [EndReason::Evicted; 2]);
    let ended: Vec<_> = running.ends.lock().iter().map(|end| end.client).collect();
    assert_eq!(ended, [clients[0].local_addr().unwrap(), clients[1].local_addr().unwrap()]);
}
