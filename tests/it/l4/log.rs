use std::collections::BTreeSet;

use serde_json::Value;
use tokio::io::AsyncWriteExt;

use crate::support::{Edge, dead};

use super::server::listen;
use super::{Keys, Server, edge, end_of, fate_of_one, in_front_of, site};

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

fn milliseconds(line: &Value, phase: &str) -> f64 {
    line["ms"][phase].as_f64().unwrap()
}

#[tokio::test]
async fn a_connection_that_was_passed_on_has_a_line() {
    let server = Server::echo().await;
    let edge = in_front_of(Keys::default(), &[&server]).await;
    let begun = std::time::SystemTime::now();
    let mut client = edge.connect().await;
    client.send("hello").await;
    assert_eq!(client.exactly(5).await, b"hello");
    assert!(edge.log().is_empty(), "it has not ended");
    client.send("more").await;
    client.half_close().await;
    end_of(client).await;
    let line = edge.log_of(1).await.remove(0);
    let expected =
        "attempts bytes_in bytes_out client closed_by ended endpoint listener ms pool protocol time";
    assert_eq!(keys(&line), expected.split(' ').collect());
    assert_eq!(keys(&line["ms"]), BTreeSet::from(["connect", "first_byte", "total"]));
    assert_eq!((&line["client"], &line["listener"]), (&"127.0.0.1".into(), &"db".into()));
    assert_eq!((&line["protocol"], &line["pool"]), (&"TCP".into(), &"app".into()));
    assert_eq!((&line["endpoint"], &line["attempts"]), (&server.address().to_string().into(), &1.into()));
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&9.into(), &9.into()));
    assert_eq!((&line["ended"], &line["closed_by"]), (&"finished".into(), &"client".into()));
    let [connect, first_byte, total] =
        ["connect", "first_byte", "total"].map(|phase| milliseconds(&line, phase));
    assert!(connect > 0.0 && first_byte > 0.0 && total >= connect + first_byte - 0.01, "{line}");
    let time = humantime::parse_rfc3339(line["time"].as_str().unwrap()).unwrap();
    let distance = time.duration_since(begun).unwrap_or_else(|error| error.duration());
    assert!(distance < crate::support::PATIENCE, "{line}");
}

#[tokio::test]
async fn an_endpoint_that_ends_first_is_named() {
    let server = Server::with(async |mut stream| stream.write_all(b"bye").await.unwrap()).await;
    let edge = in_front_of(Keys::default(), &[&server]).await;
    fate_of_one(&edge).await;
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["closed_by"]), (&"finished".into(), &"endpoint".into()));
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&0.into(), &3.into()));
}

#[tokio::test]
async fn phases_that_were_not_reached_are_left_out() {
    let silent = Server::with(listen).await;
    let edge = in_front_of(Keys::default(), &[&silent]).await;
    let mut client = edge.connect().await;
    client.send("hello").await;
    client.half_close().await;
    end_of(client).await;
    assert_eq!(keys(&edge.log_of(1).await[0]["ms"]), BTreeSet::from(["connect", "total"]));
    let nobody = dead().await;
    let edge = super::edge(Keys::default(), &[&nobody]).await;
    fate_of_one(&edge).await;
    assert_eq!(keys(&edge.log_of(1).await[0]["ms"]), BTreeSet::from(["total"]));
}

#[tokio::test]
async fn a_client_of_ipv6_is_named() {
    let server = Server::named(b's').await;
    let config = site(Keys::default(), &[&server.address()]).replace("127.0.0.1:0", "'[::1]:0'");
    let edge = Edge::start(&config).await;
    super::who_serves(&edge).await;
    assert_eq!(edge.log_of(1).await[0]["client"], "::1");
}

#[tokio::test]
async fn there_is_none_where_nobody_wants_one() {
    let server = Server::named(b's').await;
    let config = site(Keys::default(), &[&server.address()]);
    let edge = Edge::start(&config.replace("{ to: LOG }", "{ to: LOG, format: off }")).await;
    super::who_serves(&edge).await;
    let folder = edge.stop_and_keep().await;
    assert_eq!(std::fs::read_to_string(folder.path().join("access.log")).unwrap_or_default(), "");
}

#[tokio::test]
async fn a_line_follows_every_connection_of_many() {
    let (server, nobody) = (Server::named(b's').await, dead().await);
    let edge = edge(Keys::of_pool("balance: round_robin,"), &[&server.address(), &nobody]).await;
    for _ in 0..100 {
        super::who_serves(&edge).await;
    }
    let folder = edge.stop_and_keep().await;
    let text = std::fs::read_to_string(folder.path().join("access.log")).unwrap();
    assert_eq!(text.lines().count(), 100);
}
