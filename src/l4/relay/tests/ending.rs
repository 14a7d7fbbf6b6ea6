use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::super::{ClosedBy, End, Pipes};
use super::{LIMITS, Running, Scene, assert_reset, flood, last_read, pass};

#[tokio::test]
async fn a_client_that_has_said_all_still_hears_the_answer() {
    let Running { mut client, mut endpoint, relay } = Scene::plain().await.start();
    client.write_all(b"request").await.unwrap();
    client.shutdown().await.unwrap();
    let mut request = Vec::new();
    endpoint.read_to_end(&mut request).await.unwrap();
    assert_eq!(request, b"request");
    pass(&mut endpoint, &mut client, b"answer").await;
    drop(endpoint);
    assert_eq!(last_read(&mut client).await.unwrap(), 0);
    let relayed = relay.await.unwrap();
    assert_eq!((relayed.end, relayed.closed_by), (End::Finished, ClosedBy::Client));
    assert_eq!((relayed.bytes_in, relayed.bytes_out), (7, 6));
}

#[tokio::test]
async fn an_endpoint_that_has_said_all_still_hears_the_client() {
    let Running { mut client, mut endpoint, relay } = Scene::plain().await.start();
    endpoint.shutdown().await.unwrap();
    assert_eq!(last_read(&mut client).await.unwrap(), 0);
    pass(&mut client, &mut endpoint, b"more").await;
    client.shutdown().await.unwrap();
    assert_eq!(last_read(&mut endpoint).await.unwrap(), 0);
    let relayed = relay.await.unwrap();
    assert_eq!((relayed.end, relayed.closed_by), (End::Finished, ClosedBy::Endpoint));
}

#[tokio::test]
async fn a_clients_reset_reaches_the_endpoint() {
    let mut running = Scene::plain().await.start();
    running.exchange().await;
    let Running { client, mut endpoint, relay } = running;
    client.set_zero_linger().unwrap();
    drop(client);
    assert_reset(last_read(&mut endpoint).await);
    let relayed = relay.await.unwrap();
    assert_eq!((relayed.end, relayed.closed_by), (End::Reset, ClosedBy::Client));
}

#[tokio::test]
async fn an_endpoints_reset_reaches_the_client() {
    let mut running = Scene::plain().await.start();
    running.exchange().await;
    let Running { mut client, endpoint, relay } = running;
    endpoint.set_zero_linger().unwrap();
    drop(endpoint);
    assert_reset(last_read(&mut client).await);
    let relayed = relay.await.unwrap();
    assert_eq!((relayed.end, relayed.closed_by), (End::Reset, ClosedBy::Endpoint));
}

#[tokio::test]
async fn a_reset_in_the_midst_of_bulk_reaches_the_sender() {
    let Running { client, mut endpoint, relay } = Scene::plain().await.start();
    let flood = tokio::spawn(flood(client));
    endpoint.read_exact(&mut vec![0; 8 * 1024 * 1024]).await.unwrap();
    endpoint.set_zero_linger().unwrap();
    drop(endpoint);
    flood.await.unwrap();
    let relayed = relay.await.unwrap();
    assert_eq!((relayed.end, relayed.closed_by), (End::Reset, ClosedBy::Endpoint));
    assert!(relayed.bytes_in >= 8 * 1024 * 1024);
}

#[tokio::test]
async fn all_arrives_before_the_end_does() {
    let Running { mut client, mut endpoint, relay } = Scene::plain().await.start();
    let bytes = vec![3; 16 * 1024 * 1024];
    let sender = tokio::spawn(async move {
        endpoint.write_all(&bytes).await.unwrap();
    });
    let mut arrived = Vec::new();
    client.read_to_end(&mut arrived).await.unwrap();
    assert_eq!(arrived.len(), 16 * 1024 * 1024);
    sender.await.unwrap();
    drop(client);
    assert_eq!(relay.await.unwrap().closed_by, ClosedBy::Endpoint);
}

#[tokio::test(start_paused = true)]
async fn a_connection_at_rest_is_cut_cleanly() {
    let Scene { mut client, mut endpoint, mut relay } = Scene::new(LIMITS, &Pipes::new(1)).await;
    tokio::select! {
        biased;
        _ = &mut relay => unreachable!("nobody ended it"),
        () = async {
            pass(&mut client, &mut endpoint, b"ping").await;
            sleep(LIMITS.idle / 2).await;
        } => {}
    }
    let relayed = relay.cut();
    assert_eq!((relayed.end, relayed.closed_by, relayed.bytes_in), (End::Cut, ClosedBy::Edge, 4));
    assert_eq!(last_read(&mut client).await.unwrap(), 0);
    assert_eq!(last_read(&mut endpoint).await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_stream_in_its_midst_is_cut_with_a_reset() {
    let Scene { mut client, mut endpoint, mut relay } = Scene::new(LIMITS, &Pipes::new(1)).await;
    tokio::select! {
        biased;
        _ = &mut relay => unreachable!("nobody ended it"),
        () = pass(&mut endpoint, &mut client, b"half of ") => {}
    }
    relay.cut();
    assert_reset(last_read(&mut client).await);
    assert_reset(last_read(&mut endpoint).await);
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_is_dropped_in_the_midst_resets_both() {
    let mut running = Scene::plain().await.start();
    running.exchange().await;
    running.relay.abort();
    assert!(running.relay.await.unwrap_err().is_cancelled());
    assert_reset(last_read(&mut running.client).await);
    assert_reset(last_read(&mut running.endpoint).await);
}
