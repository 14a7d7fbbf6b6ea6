//! How fast bodies and tunnels pass. What is checked is that never more has come than burst and rate allow by then, which
//! holds however slow the machine is.

use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::support::{Edge, Endpoint, PATIENCE};

use super::filtered;

const KIB: usize = 1024;
/// Of `LIMITS`, both in bytes.
const BURST: usize = 16 * KIB;
const RATE: usize = 64 * KIB;
const LIMITS: &str = "{ bandwidth: { down: 64KiB/s, up: 64KiB/s, burst: 16KiB } }";

/// Counts what has come, and judges it each time.
struct Meter {
    start: Instant,
    bytes: usize,
}

impl Meter {
    fn start() -> Self {
        Self { start: Instant::now(), bytes: 0 }
    }

    fn count(&mut self, bytes: usize) {
        self.bytes += bytes;
        let seconds = self.start.elapsed().as_secs_f64();
        let allowed = BURST as f64 + RATE as f64 * seconds;
        assert!(self.bytes as f64 <= allowed + 1.0, "{} bytes in {seconds:.3} s", self.bytes);
    }
}

/// An endpoint with answers of so many bytes.
async fn long(length: usize) -> Endpoint {
    Endpoint::scripted(move |mut exchange| async move {
        let head =
            format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\nCache-Control: max-age=60\r\n\r\n");
        exchange.send([head.into_bytes(), vec![b'x'; length]].concat()).await;
        Some(exchange)
    })
    .await
}

/// Reads an answer of so many bytes as it comes.
async fn download(edge: &Edge, length: usize) {
    let mut client = edge.connect().await;
    let mut meter = Meter::start();
    client.send("GET /long HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    for _ in 0..length / KIB {
        client.exactly(KIB).await;
        meter.count(KIB);
    }
}

#[tokio::test]
async fn an_answer_comes_no_faster_than_it_may() {
    let endpoint = long(128 * KIB).await;
    let edge = Edge::start(&filtered(endpoint.address(), LIMITS)).await;
    download(&edge, 128 * KIB).await;
    let line = &edge.log_of(1).await[0];
    assert_eq!((&line["bytes_out"], &line["cause"]), (&(128 * KIB).into(), &serde_json::Value::Null));
}

/// What a piece of the coded body becomes is more than the rate lets pass in a minute.
#[tokio::test]
async fn the_head_goes_out_at_once_and_a_long_piece_in_parts() {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    for block in 0..2000_u32 {
        let noise: Vec<u8> =
            (0..60_u32).map(|byte| ((block * 60 + byte).wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        writer.write_all(&noise.repeat(100)).unwrap();
    }
    let coded = writer.finish().unwrap();
    let endpoint = Endpoint::scripted(move |mut exchange| {
        let coded = coded.clone();
        async move {
            let length = coded.len();
            let head =
                format!("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: {length}\r\n\r\n");
            exchange.send([head.as_bytes(), &coded].concat()).await;
            Some(exchange)
        }
    })
    .await;
    let decompress = "{ decompress: { always: true, max_ratio: 200 } }";
    let edge = Edge::start(&filtered(endpoint.address(), &format!("{LIMITS}, {decompress}"))).await;
    let mut client = edge.connect().await;
    let mut meter = Meter::start();
    client.send("GET / HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    assert!(client.head().await.starts_with("HTTP/1.1 200"));
    client.until(b"\r\n").await;
    for _ in 0..64 {
        client.exactly(KIB).await;
        meter.count(KIB);
    }
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let mut meter = Meter::start();
    let request = http::Request::get("http://example.com/").body(()).unwrap();
    let (response, _) = requests.send_request(request, true).unwrap();
    let mut body = timeout(PATIENCE, response).await.expect("its head comes at once").unwrap().into_body();
    while meter.bytes < 48 * KIB {
        let piece = timeout(PATIENCE, body.data()).await.expect("goes on in time").unwrap().unwrap();
        meter.count(piece.len());
    }
}

#[tokio::test]
async fn neither_the_endpoint_nor_the_total_is_to_blame_for_a_pause() {
    let endpoint = long(128 * KIB).await;
    let config = filtered(endpoint.address(), LIMITS);
    let strict = "timeouts: { first_byte: 300ms, idle: 300ms, total: 400ms }, endpoints:";
    let edge = Edge::start(&config.replace("endpoints:", strict)).await;
    download(&edge, 128 * KIB).await;
    assert!(edge.log_of(1).await[0].get("cause").is_none_or(serde_json::Value::is_null));
}

#[tokio::test]
async fn stored_answers_and_those_of_the_edge_are_no_faster() {
    let endpoint = long(96 * KIB).await;
    let config = filtered(endpoint.address(), &format!("{LIMITS}, {{ cache: {{ in: main }} }}"));
    let edge = Edge::start(&format!("server: {{ caches: {{ main: {{ memory: 8MiB }} }} }}\n{config}")).await;
    for _ in 0..2 {
        download(&edge, 96 * KIB).await;
    }
    assert_eq!(endpoint.requests().len(), 1);

    let folder = tempfile::tempdir().unwrap();
    for (name, length) in [("long", 96 * KIB), ("short", 48 * KIB)] {
        std::fs::write(folder.path().join(name), vec![b'x'; length]).unwrap();
    }
    let edge = Edge::start(&format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         routes: [{{ filters: [{LIMITS}], files: {{ root: '{}' }} }}]\n",
        folder.path().display()
    ))
    .await;
    download(&edge, 96 * KIB).await;
    let mut client = edge.connect().await;
    let mut meter = Meter::start();
    client.send("GET /short HTTP/1.1\r\nHost: example.com\r\n\r\n").await;
    client.head().await;
    client.exactly(48 * KIB).await;
    meter.count(48 * KIB);
}

#[tokio::test]
async fn a_body_of_a_request_is_held_up_and_nobody_blamed() {
    let endpoint = Endpoint::answering("ok").await;
    let strict = "timeouts: { first_byte: 300ms, idle: 300ms, total: 400ms }, endpoints:";
    let config = filtered(endpoint.address(), LIMITS).replace("endpoints:", strict);
    let config = config.replace("bind: 127.0.0.1:0", "bind: 127.0.0.1:0, limits: { body: { idle: 300ms } }");
    let edge = Edge::start(&config).await;
    let mut client = edge.connect().await;
    let mut meter = Meter::start();
    let head = format!("POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: {}\r\n\r\n", 128 * KIB);
    client.send([head.into_bytes(), vec![b'x'; 128 * KIB]].concat()).await;
    assert_eq!(client.response().await.text(), "ok");
    meter.count(endpoint.last().body.len());
    assert_eq!(meter.bytes, 128 * KIB);
}

#[tokio::test]
async fn streams_of_a_connection_share_its_rate_in_both_directions() {
    let endpoint = long(48 * KIB).await;
    let config = filtered(endpoint.address(), LIMITS)
        .replace("endpoints:", "timeouts: { idle: 300ms, first_byte: 300ms, total: 400ms }, endpoints:");
    let edge = Edge::start(&config).await;
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let (requests, connection) = h2::client::Builder::new()
        .initial_window_size(1 << 20)
        .initial_connection_window_size(1 << 20)
        .handshake::<_, Bytes>(stream)
        .await
        .unwrap();
    tokio::spawn(connection);
    let meter = Arc::new(Mutex::new(Meter::start()));
    let download = |number: usize| {
        let (mut requests, meter) = (requests.clone(), meter.clone());
        async move {
            let request = http::Request::get(format!("http://example.com/{number}")).body(()).unwrap();
            let (response, _) = requests.send_request(request, true).unwrap();
            let mut body = response.await.unwrap().into_body();
            while let Some(piece) = body.data().await {
                meter.lock().count(piece.unwrap().len());
            }
        }
    };
    timeout(PATIENCE, futures::future::join_all((0..3).map(download))).await.expect("ends in time");
    assert_eq!(meter.lock().bytes, 3 * 48 * KIB);
}

#[tokio::test]
async fn a_stream_that_is_held_up_takes_no_more_in_than_its_window() {
    let endpoint = Endpoint::answering("ok").await;
    let filter = "{ bandwidth: { up: 4KiB/s, burst: 4KiB } }";
    let edge = Edge::start(&filtered(endpoint.address(), filter)).await;
    let stream = TcpStream::connect(edge.address()).await.unwrap();
    let (mut requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::post("http://example.com/").body(()).unwrap();
    let (_response, mut body) = requests.send_request(request, false).unwrap();
    let (start, mut taken) = (Instant::now(), 0);
    // What is on its way, the window of the stream, and what has passed by then.
    let allowed = |start: Instant| {
        16 * KIB + 64 * KIB + 4 * KIB + start.elapsed().as_millis() as usize * 4 * KIB / 1000
    };
    while start.elapsed() < Duration::from_secs(1) {
        body.reserve_capacity(KIB);
        let room = timeout(Duration::from_millis(100), futures::future::poll_fn(|cx| body.poll_capacity(cx)));
        if let Ok(Some(room)) = room.await {
            let room = room.unwrap().min(KIB);
            body.send_data(Bytes::from(vec![b'x'; room]), false).unwrap();
            taken += room;
            assert!(taken <= allowed(start), "{taken} bytes are taken in at 4KiB/s");
        }
    }
    assert!(taken >= 4 * KIB, "{taken} bytes");
}

#[tokio::test]
async fn a_tunnel_is_no_way_around_it() {
    let endpoint = Endpoint::scripted(|mut exchange| async move {
        exchange
            .send("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n")
            .await;
        let (mut reader, mut writer) = exchange.stream.split();
        let echoed: io::Result<u64> = tokio::io::copy(&mut reader, &mut writer).await;
        echoed.ok().and(None)
    })
    .await;
    let only_down = "{ bandwidth: { down: 64KiB/s, burst: 16KiB } }";
    for filter in [LIMITS, only_down] {
        let config = filtered(endpoint.address(), filter)
            .replace("endpoints:", "timeouts: { tunnel: 500ms, idle: 300ms }, endpoints:");
        let edge = Edge::start(&config).await;
        let mut client = edge.connect().await;
        client
            .send("GET / HTTP/1.1\r\nHost: example.com\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n")
            .await;
        let head = client.head().await;
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        let mut meter = Meter::start();
        let (stream, _) = client.into_parts();
        let (mut reader, mut writer) = stream.into_split();
        let writing = tokio::spawn(async move {
            writer.write_all(&vec![b'x'; 96 * KIB]).await.unwrap();
            writer
        });
        let mut piece = vec![0; 4 * KIB];
        while meter.bytes < 96 * KIB {
            let read = timeout(PATIENCE, reader.read(&mut piece)).await.expect("goes on in time").unwrap();
            assert!(read > 0, "closed after {} bytes", meter.bytes);
            meter.count(read);
        }
        writing.await.unwrap();
    }
}

#[tokio::test]
async fn a_key_has_one_rate_over_all_its_connections() {
    let endpoint = long(48 * KIB).await;
    let filter = "{ bandwidth: { down: 64KiB/s, burst: 16KiB, key: { header: X-User } } }";
    let edge = Edge::start(&filtered(endpoint.address(), filter)).await;
    let meter = Arc::new(Mutex::new(Meter::start()));
    let download = |_| {
        let (edge, meter) = (&edge, meter.clone());
        async move {
            let mut client = edge.connect().await;
            client.send("GET / HTTP/1.1\r\nHost: example.com\r\nx-user: ada\r\n\r\n").await;
            client.head().await;
            for _ in 0..48 {
                client.exactly(KIB).await;
                meter.lock().count(KIB);
            }
        }
    };
    futures::future::join_all((0..3).map(download)).await;
    assert_eq!(meter.lock().bytes, 3 * 48 * KIB);
}
