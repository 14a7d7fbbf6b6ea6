use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::net::UnixStream;
use tokio::time::{Instant, advance};

use crate::config::Origin;
use crate::runtime::{Live, Peer, Registry, Unchanging, assemble};

use super::*;

const TEXT: &str = "listeners: { web: { bind: 127.0.0.1:0 } }
pools: { app: { endpoints: [127.0.0.1:9001] } }
routes: [{ pool: app }]
admin: { bind: 127.0.0.1:0 }
";

fn admin() -> Admin {
    let origin = Origin::test(TEXT);
    let snapshot = assemble(&origin, &Registry::with_built_ins(), None).unwrap().snapshot;
    let control = Control::new(Arc::new(Live::new(snapshot)), Arc::new(Unchanging::default()));
    Admin::new(Arc::new(control), Arc::new(AccessLog::off()))
}

/// A client, and the task that serves it.
fn client() -> (UnixStream, Ending, tokio::task::JoinHandle<()>) {
    client_with(waiting(), Via::Listener(Peer::Unix))
}

fn waiting() -> Arc<Waiting> {
    Arc::new(Waiting::new(Instant::now()))
}

fn client_with(waiting: Arc<Waiting>, via: Via) -> (UnixStream, Ending, tokio::task::JoinHandle<()>) {
    let (client, server) = UnixStream::pair().unwrap();
    let ending = Ending::default();
    let of_server = ending.clone();
    let task =
        tokio::spawn(async move { admin().serve(Transport::Unix(server), via, of_server, waiting).await });
    (client, ending, task)
}

const GET: &[u8] = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_does_not_keep_its_place() {
    let begun = Instant::now();
    let (mut client, _ending, task) = client();
    task.await.unwrap();
    assert!(begun.elapsed() >= HEADER_LIMIT && begun.elapsed() < HEADER_LIMIT * 2, "{:?}", begun.elapsed());
    assert_eq!(client.read_u8().await.unwrap_err().kind(), std::io::ErrorKind::UnexpectedEof);
}

#[tokio::test(start_paused = true)]
async fn nor_does_one_that_rests_after_its_answer() {
    let begun = Instant::now();
    let (mut client, _ending, task) = client();
    client.write_all(GET).await.unwrap();
    task.await.unwrap();
    assert!(begun.elapsed() >= HEADER_LIMIT && begun.elapsed() < HEADER_LIMIT * 2, "{:?}", begun.elapsed());
    let mut answer = String::new();
    client.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nok\n"), "{answer}");
}

#[tokio::test]
async fn an_end_closes_what_rests() {
    let (mut client, ending, task) = client();
    client.write_all(GET).await.unwrap();
    client.read_exact(&mut [0; 12]).await.unwrap();
    ending.advance(Stage::Draining);
    task.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_client_that_takes_nothing_is_not_waited_for() {
    let (mut client, server): (DuplexStream, _) = tokio::io::duplex(10);
    let waiting = waiting();
    waiting.note_request();
    let mut server = Patient::new(server, SEND_IDLE, waiting.clone());
    // As long as it takes a little now and then.
    let taking = tokio::spawn(async move {
        let mut taken = [0; 10];
        for _ in 0..3 {
            tokio::time::sleep(SEND_IDLE / 2).await;
            client.read_exact(&mut taken).await.unwrap();
        }
        client
    });
    server.write_all(&[0; 40]).await.unwrap();
    let _client = taking.await.unwrap();
    assert_eq!(waiting.since(), None);
    let begun = Instant::now();
    let error = server.write_all(&[0]).await.unwrap_err();
    assert_eq!((error.kind(), begun.elapsed()), (std::io::ErrorKind::TimedOut, SEND_IDLE));
    assert_eq!(waiting.since(), Some(begun));
}

#[tokio::test(start_paused = true)]
async fn a_client_is_waited_for_again_once_it_is_answered() {
    let (begun, waiting) = (Instant::now(), waiting());
    let (mut client, _ending, _task) = client_with(waiting.clone(), Via::Listener(Peer::Unix));
    advance(HEADER_LIMIT / 2).await;
    assert_eq!(waiting.since(), Some(begun));
    client.write_all(GET).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(b"\r\n\r\nok\n") {
        assert_ne!(client.read_buf(&mut answer).await.unwrap(), 0);
    }
    assert!(waiting.since().is_some_and(|since| since > begun));
}

#[tokio::test(start_paused = true)]
async fn a_client_is_waited_for_while_its_body_lacks() {
    let (begun, waiting) = (Instant::now(), waiting());
    let (mut client, _ending, _task) = client_with(waiting.clone(), Via::ControlSocket { uid: 0 });
    let head =
        "PUT /v1/log HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n";
    advance(Duration::from_secs(1)).await;
    client.write_all(head.as_bytes()).await.unwrap();
    while waiting.since().is_none_or(|since| since == begun) {
        tokio::task::yield_now().await;
    }
    client.write_all(b"{\"level\":\"debug\"}").await.unwrap();
    assert_ne!(client.read(&mut [0; 512]).await.unwrap(), 0);
}
