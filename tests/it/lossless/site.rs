use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

use rustls::ClientConfig;
use rustls::client::Resumption;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::process::{Place, Running};
use crate::support::{Ca, eventually};

use super::clients::{Clients, Http1, Trust, secure};
use super::endpoints::Endpoints;
use super::variations::{EXTRA, Variation, Variations};

/// Where the clients go: an address of the loopback network that is this test's alone, so that a port on it is nobody
/// else's, whatever comes and goes there.
#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) web: SocketAddr,
    pub(super) secure: SocketAddr,
    pub(super) tcp: SocketAddr,
    pub(super) udp: SocketAddr,
    /// An endpoint, without the edge.
    pub(super) direct: SocketAddr,
}

/// Keeps an address for this test for as long as it goes on.
struct Lease {
    address: Ipv4Addr,
    _held: TcpListener,
}

/// A process in front of its endpoints, and what it takes to change its configuration.
pub(super) struct Site {
    pub(super) running: Running,
    pub(super) endpoints: Endpoints,
    pub(super) addresses: Addresses,
    pub(super) variations: Variations,
    pub(super) current: Variation,
    trust: Trust,
    batches: u64,
    _lease: Lease,
}

impl Addresses {
    /// Where a listener is that comes and goes.
    pub(super) fn extra(&self, number: u16) -> SocketAddr {
        SocketAddr::new(self.web.ip(), 8100 + number)
    }
}

impl Lease {
    fn new() -> Self {
        loop {
            let address = Ipv4Addr::new(127, 84, fastrand::u8(..), fastrand::u8(1..255));
            if let Ok(held) = TcpListener::bind((address, 7999)) {
                return Self { address, _held: held };
            }
        }
    }

    fn addresses(&self, direct: SocketAddr) -> Addresses {
        let at = |port| SocketAddr::from((self.address, port));
        Addresses { web: at(8001), secure: at(8002), tcp: at(8003), udp: at(8004), direct }
    }
}

impl Site {
    /// Starts a process that goes on accepting for so long when it drains.
    pub(super) async fn start(grace: &'static str) -> Self {
        let (endpoints, lease, place) = (Endpoints::start().await, Lease::new(), Place::with(""));
        let (addresses, ca) = (lease.addresses(endpoints.http()[0]), Ca::new("site"));
        let trust = Trust { http1: Arc::new(ca.client(&["http/1.1"])), http2: Arc::new(ca.client(&["h2"])) };
        let mut variations = Variations::new(grace, place.path(), addresses, &endpoints, ca);
        let current = variations.next();
        std::fs::write(place.path().join("edge.yaml"), &current.text).unwrap();
        let mut command = place.command(&["run", "-c", "edge.yaml"]);
        command.stdout(std::process::Stdio::null());
        // What is free is given back at once, so that what is held can be compared.
        command.env("MIMALLOC_PURGE_DELAY", "0");
        let running = Running::launch(place, command, 1).await;
        // Datagrams do not wait for the first probes.
        eventually("all pools are fit", async || all_are_fit(&running.status().await)).await;
        Self { running, endpoints, addresses, variations, current, trust, batches: 0, _lease: lease }
    }

    /// Puts another configuration into the file, whole, as deployments do.
    pub(super) fn write(&mut self, variation: Variation) {
        self.write_text(&variation.text);
        self.current = variation;
    }

    pub(super) fn write_text(&self, text: &str) {
        std::fs::write(self.running.file("edge.yaml.new"), text).unwrap();
        std::fs::rename(self.running.file("edge.yaml.new"), self.running.file("edge.yaml")).unwrap();
    }

    /// Has the process serve what is in the file.
    pub(super) async fn reload(&self) {
        let (code, _, err) = self.running.evener(&["reload", "-c", "edge.yaml"]).await;
        assert_eq!(code, 0, "{err}\n{}", self.current.text);
        self.serves_the_current().await;
    }

    /// Has another process take over; the id of the one that served before.
    pub(super) async fn upgrade(&self) -> u32 {
        let before = self.serving().await;
        let (code, _, err) = self.running.evener(&["upgrade", "-c", "edge.yaml"]).await;
        assert_eq!(code, 0, "{err}\n{}", self.current.text);
        assert_ne!(self.serving().await, before);
        self.serves_the_current().await;
        before
    }

    pub(super) fn folder(&self) -> PathBuf {
        self.running.file("")
    }

    /// Clients of all kinds, once each kind has begun.
    pub(super) async fn clients(&mut self) -> Clients {
        self.batches += 1;
        let clients = Clients::start(self.addresses, &self.trust, self.batches);
        clients.go_on().await;
        clients
    }

    /// The number of the configuration that a new connection is served by.
    pub(super) async fn generation(&self) -> Result<u64, String> {
        let mut connection = Http1::connect(self.addresses.web).await?;
        let response = connection.ask(b"GET /generation HTTP/1.1\r\nHost: site.example\r\n\r\n").await?;
        response.text().parse().map_err(|_| format!("no generation: {}", response.text()))
    }

    /// Fails unless new connections are served by the current configuration: its routes, its certificate, its listeners.
    pub(super) async fn serves_the_current(&self) {
        let Variation { number, certificate, extra, .. } = &self.current;
        assert_eq!(self.generation().await, Ok(*number));
        let mut stranger = ClientConfig::clone(&self.trust.http1);
        // A session that is resumed knows the certificate that it began with.
        stranger.resumption = Resumption::disabled();
        let stream = secure(self.addresses.secure, &Arc::new(stranger)).await.unwrap();
        assert_eq!(stream.get_ref().1.peer_certificates().unwrap()[0].as_ref(), certificate);
        for place in 0..EXTRA {
            let address = self.addresses.extra(place);
            let is_listed = extra.contains(&address);
            let is_as_listed = async || TcpStream::connect(address).await.is_ok() == is_listed;
            eventually(&format!("that {address} is served is {is_listed}"), is_as_listed).await;
        }
    }

    /// Fails unless every post came once and undamaged.
    pub(super) fn posts_came_once(&self, sent: u64) {
        let posts = self.endpoints.posts();
        assert_eq!(posts.wrong(), Vec::<String>::new());
        assert_eq!(posts.count(), sent);
    }

    /// The processes that serve, or served and drain, by their ids.
    pub(super) fn processes(&self) -> Vec<u32> {
        self.running.processes()
    }

    /// All processes that run in the folder of the site.
    pub(super) fn processes_of_any_kind(&self) -> Vec<u32> {
        self.running.processes_of_any_kind()
    }
}

fn all_are_fit(status: &Value) -> bool {
    status["pools"].as_array().unwrap().iter().all(|pool| pool["fit"].as_u64() > Some(0))
}
