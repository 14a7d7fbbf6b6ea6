//! What a relay must not lose or miss where sockets do the unusual.

use rustix::process::Signal;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::process::Running;
use crate::support::{Client, PATIENCE, eventually};

use super::streams::next;
use super::{Ended, Keys, Server, edge, end_of, greeted, in_front_of};

const MIB: usize = 1024 * 1024;

/// Writes for ever, until somebody breaks it off.
async fn flood(mut stream: TcpStream) {
    let bytes = vec![b'x'; MIB];
    while stream.write_all(&bytes).await.is_ok() {}
}

/// A stop interrupts what the kernel is moving at that time, like the freezing of a container does.
#[tokio::test(flavor = "multi_thread")]
async fn bulk_goes_on_after_the_process_was_stopped_and_continued() {
    let server = Server::with(flood).await;
    let config = format!(
        "listeners: {{ db: {{ bind: 127.0.0.1:0, tcp: {{ pool: db }} }}, web: {{ bind: 127.0.0.1:0 }} }}
pools: {{ db: {{ endpoints: ['{}'] }} }}
routes: [{{ respond: {{ body: hi }} }}]
",
        server.address()
    );
    let running = Running::start(&config, 1).await;
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(TcpStream::connect(running.address()).await.unwrap());
    }
    let mut bytes = vec![0; MIB];
    for _ in 0..200 {
        for stream in &mut streams {
            timeout(PATIENCE, stream.read_exact(&mut bytes)).await.expect("goes on").unwrap();
            running.signal(Signal::STOP);
            running.signal(Signal::CONT);
        }
    }
}

/// Urgent data itself is lost; but a splice that stops there must not be taken for the end of the stream.
#[tokio::test]
async fn what_stands_between_urgent_data_and_the_end_is_not_lost() {
    const BEFORE: usize = 4 * MIB;
    const BEHIND: usize = 64 * 1024;

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = edge(Keys::default(), &[&listener.local_addr().unwrap()]).await;
    let (mut client, _) = edge.connect().await.into_parts();
    let sending = tokio::spawn(async move {
        client.write_all(&vec![b'a'; BEFORE]).await.unwrap();
        SockRef::from(&client).send_out_of_band(b"!").unwrap();
        client.write_all(&[b'b'; BEHIND]).await.unwrap();
        client.shutdown().await.unwrap();
        client
    });
    let mut endpoint = next(&listener).await;
    let mut heard = Vec::new();
    timeout(PATIENCE, endpoint.read_to_end(&mut heard)).await.expect("ends in time").unwrap();
    assert_eq!(heard.len(), BEFORE + BEHIND);
    drop(sending.await.unwrap());
}

/// Such a connection would keep its place at an endpoint that is stuck for as long as `idle`.
#[tokio::test]
async fn a_client_that_breaks_off_is_missed_also_while_its_endpoint_reads_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let edge = edge(Keys::default(), &[&listener.local_addr().unwrap()]).await;
    let (client, _) = edge.connect().await.into_parts();
    let endpoint = next(&listener).await;
    // Until nobody takes any more: neither the endpoint nor the edge.
    let bytes = vec![b'x'; MIB];
    eventually("both are full", async || {
        let is_full = std::time::Duration::from_millis(300);
        timeout(is_full, client.writable()).await.is_err() || {
            let _ = client.try_write(&bytes);
            false
        }
    })
    .await;
    client.set_zero_linger().unwrap();
    drop(client);
    let line = edge.log_of(1).await.remove(0);
    assert_eq!((&line["ended"], &line["closed_by"]), (&"reset".into(), &"client".into()), "{line}");
    assert_eq!(endpoint.take_error().unwrap().unwrap().kind(), std::io::ErrorKind::ConnectionReset);
}

/// Nor does it look like an answer without a word.
#[tokio::test]
async fn a_client_that_a_balancer_tells_of_is_reset_over_its_limit() {
    let server = Server::named(b's').await;
    let listener = "proxy_protocol: { from: 127.0.0.1 }, limits: { per_client: 1 },";
    let edge = in_front_of(Keys::of_listener(listener), &[&server]).await;
    let header = b"PROXY TCP4 192.0.2.1 10.0.0.1 12345 443\r\n";
    let connect = async || {
        let mut client: Client = edge.connect().await;
        client.send(header).await;
        client
    };
    let (_, first) = greeted(connect().await).await.unwrap();
    assert_eq!(end_of(connect().await).await, (Vec::new(), Ended::Reset));
    drop(first);
}
