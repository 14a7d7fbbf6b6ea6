use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::support::{Client, Edge, PATIENCE, eventually};

use super::streams::{Pattern, exchange, next, rest_of};
use super::{Ended, Keys, Server, edge, end_of, in_front_of, reset};

const MEBIBYTE: usize = 1024 * 1024;

/// A client's connection and the one to the endpoint that it is passed on to.
async fn joined() -> (Edge, Client, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = edge(Keys::default(), &[&listener.local_addr().unwrap()]).await;
    let client = edge.connect().await;
    let endpoint = next(&listener).await;
    (edge, client, endpoint)
}

#[tokio::test]
async fn streams_pass_whole_both_ways_at_once() {
    const TOTAL: usize = 256 * MEBIBYTE + 7;
    let (edge, client, endpoint) = joined().await;
    let (question, answer) = (Pattern::new(1), Pattern::new(2));
    tokio::join!(
        exchange(client.into_parts().0, &question, &answer, TOTAL),
        exchange(endpoint, &answer, &question, TOTAL)
    );
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["bytes_in"], &line["bytes_out"]), (&TOTAL.into(), &TOTAL.into()));
    assert_eq!(line["ended"], "finished");
}

#[tokio::test]
async fn many_connections_are_kept_apart() {
    let server = Server::echo().await;
    let edge = in_front_of(Keys::default(), &[&server]).await;
    let mut clients = Vec::new();
    for number in 0..500 {
        let mut client = edge.connect().await;
        client.send(format!("this is {number:>4}")).await;
        clients.push(client);
    }
    eventually("all are open at once", async || server.open() == 500).await;
    for (number, client) in clients.iter_mut().enumerate() {
        assert_eq!(client.exactly(12).await, format!("this is {number:>4}").into_bytes());
        client.half_close().await;
    }
    for client in clients {
        assert_eq!(end_of(client).await, (Vec::new(), Ended::Cleanly));
    }
    assert_eq!(server.accepted(), 500);
}

#[tokio::test]
async fn a_server_that_speaks_first_is_heard_at_once() {
    let server = Server::with(async |mut stream| {
        stream.write_all(b"220 ready\r\n").await.unwrap();
        super::server::echo(stream).await;
    })
    .await;
    let edge = in_front_of(Keys::default(), &[&server]).await;
    let mut client = edge.connect().await;
    assert_eq!(client.exactly(11).await, b"220 ready\r\n");
    client.send("EHLO").await;
    assert_eq!(client.exactly(4).await, b"EHLO");
}

#[tokio::test]
async fn a_client_that_has_said_all_still_gets_its_answer() {
    let (_edge, mut client, mut endpoint) = joined().await;
    client.send("question").await;
    client.half_close().await;
    assert_eq!(rest_of(&mut endpoint).await, (b"question".to_vec(), Ended::Cleanly));
    for _ in 0..3 {
        endpoint.write_all(b"answer").await.unwrap();
        assert_eq!(client.exactly(6).await, b"answer");
    }
    drop(endpoint);
    assert_eq!(end_of(client).await, (Vec::new(), Ended::Cleanly));
}

#[tokio::test]
async fn an_endpoint_that_has_said_all_still_hears_its_client() {
    let (_edge, mut client, mut endpoint) = joined().await;
    endpoint.write_all(b"all").await.unwrap();
    endpoint.shutdown().await.unwrap();
    let (mut stream, _) = {
        assert_eq!(client.rest().await, b"all");
        client.into_parts()
    };
    for _ in 0..3 {
        stream.write_all(b"more").await.unwrap();
        let mut heard = [0; 4];
        timeout(PATIENCE, endpoint.read_exact(&mut heard)).await.expect("comes in time").unwrap();
        assert_eq!(&heard, b"more");
    }
    drop(stream);
    assert_eq!(rest_of(&mut endpoint).await, (Vec::new(), Ended::Cleanly));
}

#[tokio::test]
async fn an_end_without_a_byte_passes() {
    let (edge, client, mut endpoint) = joined().await;
    drop(client);
    assert_eq!(rest_of(&mut endpoint).await, (Vec::new(), Ended::Cleanly));
    drop(endpoint);
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["closed_by"]), (&"finished".into(), &"client".into()));
}

#[tokio::test]
async fn a_reset_of_the_client_reaches_the_endpoint_as_one() {
    let (edge, mut client, mut endpoint) = joined().await;
    client.send("some").await;
    let mut heard = [0; 4];
    endpoint.read_exact(&mut heard).await.unwrap();
    reset(client);
    assert_eq!(rest_of(&mut endpoint).await, (Vec::new(), Ended::Reset));
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["closed_by"]), (&"reset".into(), &"client".into()));
}

#[tokio::test]
async fn a_reset_of_the_endpoint_reaches_the_client_as_one() {
    let (edge, mut client, mut endpoint) = joined().await;
    endpoint.write_all(b"some").await.unwrap();
    assert_eq!(client.exactly(4).await, b"some");
    endpoint.set_zero_linger().unwrap();
    drop(endpoint);
    assert_eq!(end_of(client).await, (Vec::new(), Ended::Reset));
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["closed_by"]), (&"reset".into(), &"endpoint".into()));
}

/// Whoever has said all and is gone would otherwise keep its place for as long as the other side is silent.
#[tokio::test]
async fn a_reset_after_the_end_of_a_stream_is_noticed_too() {
    let (edge, mut client, mut endpoint) = joined().await;
    client.send("last words").await;
    client.half_close().await;
    assert_eq!(rest_of(&mut endpoint).await, (b"last words".to_vec(), Ended::Cleanly));
    reset(client);
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["closed_by"]), (&"reset".into(), &"client".into()));
    eventually("the endpoint's connection is broken", async || endpoint.write_all(b"x").await.is_err()).await;
    // And the other way round.
    let (edge, mut client, mut endpoint) = joined().await;
    endpoint.shutdown().await.unwrap();
    assert_eq!(client.rest().await, b"");
    endpoint.set_zero_linger().unwrap();
    drop(endpoint);
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["closed_by"]), (&"reset".into(), &"endpoint".into()));
    eventually("the client's connection is broken", async || client.try_send("x").await.is_err()).await;
}

#[tokio::test]
async fn a_reset_in_the_midst_of_bulk_passes() {
    let (_edge, client, mut endpoint) = joined().await;
    let (mut stream, _) = client.into_parts();
    let sending = tokio::spawn(async move {
        let mut heard = vec![0; MEBIBYTE];
        for _ in 0..4 {
            stream.read_exact(&mut heard).await.unwrap();
        }
        stream.set_zero_linger().unwrap();
    });
    let piece = vec![7; MEBIBYTE];
    let broken = async { while endpoint.write_all(&piece).await.is_ok() {} };
    timeout(PATIENCE, broken).await.expect("breaks in time");
    sending.await.unwrap();
}

#[tokio::test]
async fn a_slow_reader_slows_its_sender() {
    let (_edge, client, mut endpoint) = joined().await;
    let (piece, mut sent) = (vec![7; MEBIBYTE], 0);
    // What the kernel keeps for four sockets is less than that.
    while timeout(Duration::from_secs(1), endpoint.write_all(&piece)).await.is_ok() {
        sent += 1;
        assert!(sent < 64, "the edge keeps everything");
    }
    let (mut stream, _) = client.into_parts();
    let mut heard = vec![0; sent * MEBIBYTE];
    timeout(PATIENCE, stream.read_exact(&mut heard)).await.expect("comes in time").unwrap();
    assert!(heard.iter().all(|byte| *byte == 7));
}

#[tokio::test]
async fn small_messages_pass_one_by_one() {
    let server = Server::echo().await;
    let edge = in_front_of(Keys::default(), &[&server]).await;
    let mut client = edge.connect().await;
    for number in 0..2000_u32 {
        client.send(number.to_be_bytes()).await;
        assert_eq!(client.exactly(4).await, number.to_be_bytes());
    }
}

/// Ten connections that stop and go, in pieces from one byte to more than a socket takes.
#[tokio::test]
async fn pieces_of_any_size_pass() {
    let server = Server::echo().await;
    let edge = Arc::new(in_front_of(Keys::default(), &[&server]).await);
    let talks = (0..10).map(|seed| {
        let edge = edge.clone();
        tokio::spawn(async move {
            let mut random = fastrand::Rng::with_seed(seed);
            let mut client = edge.connect().await;
            for _ in 0..30 {
                let piece = vec![random.u8(..); 1 << random.usize(..20)];
                // More than that would wait for a reader on both ways at once.
                for part in piece.chunks(64 * 1024) {
                    client.send(part).await;
                    assert!(client.exactly(part.len()).await == part, "seed {seed}");
                }
            }
        })
    });
    for talk in talks.collect::<Vec<_>>() {
        talk.await.unwrap();
    }
}

/// An endpoint may answer before it has heard all, and break off then; its answer came first.
#[tokio::test]
async fn what_an_endpoint_said_before_it_broke_off_is_delivered() {
    let (_edge, client, mut endpoint) = joined().await;
    let (mut stream, _) = client.into_parts();
    let piece = vec![7; MEBIBYTE];
    // Until the edge can pass no more on.
    while timeout(Duration::from_millis(500), stream.write_all(&piece)).await.is_ok() {}
    endpoint.write_all(b"too much").await.unwrap();
    // It has not read everything, so that this is a reset.
    drop(endpoint);
    let mut heard = [0; 8];
    timeout(PATIENCE, stream.read_exact(&mut heard)).await.expect("comes in time").unwrap();
    assert_eq!(&heard, b"too much");
}
