use crate::support::{Client, Edge, Endpoint, eventually};

use super::{GET, site};

/// Whether a further client is served; a refused one is closed at once.
async fn admits(edge: &Edge) -> Option<Client> {
    let mut client = edge.connect().await;
    if client.try_send(GET).await.is_err() {
        return None;
    }
    let (stream, read) = client.into_parts();
    assert!(read.is_empty());
    let is_served =
        stream.readable().await.is_ok() && stream.peek(&mut [0]).await.is_ok_and(|count| count > 0);
    let mut client = Client::over(stream);
    if !is_served {
        return None;
    }
    assert_eq!(client.response().await.status, 200);
    Some(client)
}

async fn holds(config: &str) {
    let edge = Edge::start(config).await;
    let mut first = admits(&edge).await.expect("the first is served");
    let second = admits(&edge).await.expect("the second is served");
    assert!(admits(&edge).await.is_none(), "one too many is served");
    assert!(admits(&edge).await.is_none(), "one too many is served");
    first.send(GET).await;
    assert_eq!(first.response().await.status, 200);
    drop(second);
    let mut third = None;
    eventually("the place is free again", async || {
        third = admits(&edge).await;
        third.is_some()
    })
    .await;
    assert!(admits(&edge).await.is_none(), "one too many is served");
    first.send(GET).await;
    assert_eq!(first.response().await.status, 200);
}

#[tokio::test]
async fn a_client_has_so_many_connections() {
    let endpoint = Endpoint::answering("hi").await;
    holds(&site(endpoint.address(), "limits: { per_client: 2 }")).await;
}

#[tokio::test]
async fn a_listener_has_so_many_connections() {
    let endpoint = Endpoint::answering("hi").await;
    holds(&site(endpoint.address(), "limits: { connections: 2 }")).await;
}

#[tokio::test]
async fn the_server_has_so_many_connections() {
    let endpoint = Endpoint::answering("hi").await;
    holds(&format!("server: {{ connections: 2 }}\n{}", site(endpoint.address(), ""))).await;
}
