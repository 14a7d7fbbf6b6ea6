//! Clients and endpoints that behave in all ways at once: nothing is left over when they are gone.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use evener::app::App;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::sleep;

use crate::support::{Ca, Client, Edge, Spy, TlsFront, eventually};

use super::{Keys, Server, site};

const CLIENTS: usize = 400;

/// What one side of a connection does, by chance: says and hears things, and ends in one of several ways.
async fn behave<S>(stream: S, seed: u64) -> S
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut random = fastrand::Rng::with_seed(seed);
    let (mut read, mut write) = tokio::io::split(stream);
    let size = 1 << random.usize(..20);
    let heard = Duration::from_millis(random.u64(1..200));
    let speaking = async {
        // However the other side behaves.
        let _ = write.write_all(&vec![7; size]).await;
        if !seed.is_multiple_of(3) {
            let _ = write.shutdown().await;
        }
    };
    let listening = async {
        let mut bytes = Vec::new();
        // Some leave before they have heard all.
        let _ = tokio::time::timeout(heard, read.read_to_end(&mut bytes)).await;
    };
    tokio::select! {
        () = async { tokio::join!(speaking, listening); } => {}
        () = sleep(Duration::from_millis(300)) => {}
    }
    read.unsplit(write)
}

/// Ends a connection one way or the other.
fn part(stream: &TcpStream, seed: u64) {
    if seed.is_multiple_of(4) {
        stream.set_zero_linger().unwrap();
    }
}

async fn chaotic(name: u64) -> Server {
    let next = Arc::new(AtomicU64::new(name));
    Server::with(move |stream| {
        let seed = next.fetch_add(7, Ordering::Relaxed);
        async move {
            let stream = behave(stream, seed).await;
            part(&stream, seed);
        }
    })
    .await
}

/// Lets all clients come, and sees that all is as before when they have gone.
async fn settle(edge: &Edge, spy: &Spy, clients: Vec<tokio::task::JoinHandle<()>>) {
    for client in clients {
        client.await.unwrap();
    }
    spy.has_in_flight(0).await;
    let lines = edge.log_of(CLIENTS).await;
    assert_eq!(lines.len(), CLIENTS);
    // Some leave before there is an endpoint.
    let known = ["finished", "reset", "client_gone"];
    let strange = lines.iter().find(|line| !known.contains(&line["ended"].as_str().unwrap()));
    assert!(strange.is_none(), "{strange:?}");
}

async fn spied(config: &str) -> (Edge, Spy) {
    let spy = Spy::default();
    (Edge::start_with(spy.register(App::builder()), config).await, spy)
}

#[tokio::test]
async fn nothing_is_left_over() {
    let servers = [chaotic(1).await, chaotic(2).await, chaotic(3).await];
    let addresses = servers.each_ref().map(Server::address);
    let listed = addresses.each_ref().map(|address| address as &dyn Display);
    let (edge, spy) = spied(&site(Keys::of_pool("balance: spy, outlier: off,"), &listed)).await;
    let address = edge.address();
    let clients = (0..CLIENTS as u64).map(|seed| {
        tokio::spawn(async move {
            let stream = TcpStream::connect(address).await.unwrap();
            let stream = behave(stream, seed).await;
            part(&stream, seed);
        })
    });
    settle(&edge, &spy, clients.collect()).await;
    eventually("the endpoints are alone", async || servers.iter().all(|server| server.open() == 0)).await;
}

#[tokio::test]
async fn nothing_is_left_over_with_tls_on_both_sides() {
    let (ca, folder) = (Ca::new("all"), tempfile::tempdir().unwrap());
    let issued = ca.issue(&["db.example"]);
    issued.write(folder.path(), "site");
    ca.write(folder.path(), "ca.pem");
    let server = chaotic(1).await;
    let front = TlsFront::new(issued.server(&[]), server.address()).await;
    let path = folder.path().join("site");
    let listener = format!("tls: {{ certificates: [{{ cert: {0}.pem, key: {0}.key }}] }},", path.display());
    let ca_file = folder.path().join("ca.pem");
    let pool = format!("balance: spy, outlier: off, tls: {{ ca: {}, sni: db.example }},", ca_file.display());
    let keys = Keys { listener: &listener, pool: &pool, ..Keys::default() };
    let (edge, spy) = spied(&site(keys, &[&front.address()])).await;
    let (address, config) = (edge.address(), Arc::new(ca.client(&[])));
    let clients = (0..CLIENTS as u64).map(|seed| {
        let config = config.clone();
        tokio::spawn(async move {
            let client = Client::secure(address, "db.example", &config).await.unwrap();
            let stream = behave(client.into_parts().0, seed).await;
            part(stream.get_ref().0, seed);
        })
    });
    settle(&edge, &spy, clients.collect()).await;
}
