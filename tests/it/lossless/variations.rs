use std::fmt::Display;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use evener::types::Random;

use crate::support::Ca;

use super::endpoints::Endpoints;
use super::site::Addresses;

/// So many listeners come and go.
pub(super) const EXTRA: u16 = 6;

const HTTP_POLICIES: [&str; 9] = [
    "peak_ewma",
    "p2c",
    "least_requests",
    "round_robin",
    "random",
    "first",
    "ip_hash",
    "{ ring: { key: path, replicas: 40 } }",
    "{ maglev: { key: { header: X-Number }, table: 251 } }",
];
/// So that soon nothing is left of connections to endpoints that have no work.
const KEPT: &str = "keepalive: { idle: 1s }, ";
const STREAM_POLICIES: [&str; 6] = ["peak_ewma", "p2c", "least_requests", "round_robin", "random", "ip_hash"];

/// Makes configurations that differ from each other in everything but what the clients' own routes and listeners mean.
pub(super) struct Variations {
    random: Random,
    /// How long a process that drains goes on accepting.
    grace: &'static str,
    folder: PathBuf,
    addresses: Addresses,
    endpoints: Places,
    ca: Ca,
    /// What clients of TLS are shown, and the name of its files.
    certificate: Vec<u8>,
    files: String,
    number: u64,
}

/// Where the endpoints of each kind are.
struct Places {
    http: Vec<SocketAddr>,
    grpc: Vec<SocketAddr>,
    tcp: Vec<SocketAddr>,
    udp: Vec<SocketAddr>,
}

/// One configuration.
#[derive(Clone)]
pub(super) struct Variation {
    /// What the route `/generation` answers with.
    pub(super) number: u64,
    pub(super) text: String,
    /// What clients of TLS are shown.
    pub(super) certificate: Vec<u8>,
    /// Listeners beside those that the clients use.
    pub(super) extra: Vec<SocketAddr>,
}

/// The pools of one configuration, by what is spoken with them.
struct Pools {
    text: String,
    http: Vec<String>,
    grpc: String,
    tcp: String,
    udp: String,
}

/// Where chance begins, so that the same can be had again.
fn seed() -> u64 {
    let seed = match std::env::var("EVENER_SEED") {
        Ok(seed) => seed.parse().expect("EVENER_SEED is a number"),
        Err(_) => fastrand::u64(..),
    };
    println!("EVENER_SEED={seed}");
    seed
}

impl Variations {
    pub(super) fn new(
        grace: &'static str,
        folder: &Path,
        addresses: Addresses,
        endpoints: &Endpoints,
        ca: Ca,
    ) -> Self {
        let (http, grpc, tcp, udp) = (endpoints.http(), endpoints.grpc(), endpoints.tcp(), endpoints.udp());
        let endpoints = Places { http, grpc, tcp, udp };
        let (random, folder) = (Random::with_seed(seed()), folder.to_owned());
        Self {
            random,
            grace,
            folder,
            addresses,
            endpoints,
            ca,
            certificate: Vec::new(),
            files: String::new(),
            number: 0,
        }
    }

    /// The next configuration, with its certificates in the folder.
    pub(super) fn next(&mut self) -> Variation {
        self.number += 1;
        self.renew();
        let pools = self.pools();
        let (extra, extra_text) = self.extra(&pools);
        let (listeners, routes, log) = (self.listeners(&pools), self.routes(&pools), self.log());
        let prefix = self.one_of(&["64", "56"]);
        let text = format!(
            "server:
  drain: {{ accept_grace: {}, requests: 1m, tunnels: 10m }}
  http_client_id: {{ ipv6_prefix: {prefix} }}
listeners:
{listeners}{extra_text}pools:
{}routes:
{routes}{log}",
            self.grace, pools.text
        );
        Variation { number: self.number, text, certificate: self.certificate.clone(), extra }
    }

    /// Makes a new certificate, in files of its own, at the first time and at every other.
    fn renew(&mut self) {
        if self.certificate.is_empty() || self.random.bool() {
            let issued = self.ca.issue(&["site.example"]);
            self.files = format!("site-{}", self.number);
            issued.write(&self.folder, &self.files);
            self.certificate = issued.der().to_vec();
        }
    }

    fn certificates(&self) -> String {
        format!("certificates: [{{ cert: {0}.pem, key: {0}.key }}]", self.files)
    }

    // === Listeners ===

    fn listeners(&mut self, pools: &Pools) -> String {
        let Addresses { web, secure, tcp, udp, .. } = self.addresses;
        let (limits, secure_limits) = (self.limits(), self.limits());
        let version = self.one_of(&["1.2", "1.3"]);
        let rotate = self.one_of(&["12h", "1h", "0s"]);
        let (tcp_idle, udp_idle, flows) = (self.between(60, 90), self.between(1, 2), self.between(100, 9000));
        let listeners = [
            format!("  web: {{ bind: '{web}', {limits} }}\n"),
            format!(
                "  secure: {{ bind: '{secure}', {secure_limits}, tls: {{ min_version: '{version}', tickets: {{ rotate: {rotate} }},
    {} }} }}\n",
                self.certificates()
            ),
            format!("  streams: {{ bind: '{tcp}', tcp: {{ pool: {}, idle: {tcp_idle}s }} }}\n", pools.tcp),
            format!(
                "  datagrams: {{ bind: '{udp}', udp: {{ pool: {}, idle: {udp_idle}s, flows: {flows} }} }}\n",
                pools.udp
            ),
        ];
        self.shuffled(&listeners).concat()
    }

    fn limits(&mut self) -> String {
        format!(
            "http: {{ h2_streams: {} }}, limits: {{ per_client: {}, header: {{ size: {}KiB }}, body: {{ size: {}MiB }}, keepalive: {{ requests: {}, idle: {}s }} }}",
            self.between(20, 200),
            self.between(200, 600),
            self.between(8, 64),
            self.between(1, 20),
            self.between(20, 2000),
            self.between(30, 90),
        )
    }

    /// Listeners that come and go.
    fn extra(&mut self, pools: &Pools) -> (Vec<SocketAddr>, String) {
        let (mut addresses, mut text) = (Vec::new(), String::new());
        for number in 0..EXTRA {
            let address = self.addresses.extra(number);
            let kind = match self.random.u8(..12) {
                0 => String::new(),
                1 => format!(", tcp: {{ pool: {} }}", pools.tcp),
                2 => ", redirect_https: true".to_owned(),
                3 => format!(", tls: {{ {} }}", self.certificates()),
                _ => continue,
            };
            text += &format!("  extra-{number}: {{ bind: '{address}'{kind} }}\n");
            addresses.push(address);
        }
        (addresses, text)
    }

    // === Pools ===

    fn pools(&mut self) -> Pools {
        let (mut text, mut http) = (String::new(), Vec::new());
        for number in 0..self.between(1, 5) {
            let name = format!("app-{}", number + self.between(0, 1) * 10);
            let addresses = self.some(&self.endpoints.http.clone());
            let policy = self.one_of(&HTTP_POLICIES);
            let probe =
                self.one_of(&["", "health: { http: { path: /health }, interval: 1s, timeout: 900ms }, "]);
            let sticky = self.one_of(&["", "", "sticky: { cookie: srv_id }, "]);
            text += &self.pool(&name, &addresses, &format!("balance: {policy}, {KEPT}{probe}{sticky}"));
            http.push(name);
        }
        for (name, addresses, keys) in [
            ("calls", self.endpoints.grpc.clone(), format!("protocol: h2c, {KEPT}")),
            ("streams", self.endpoints.tcp.clone(), String::new()),
            ("datagrams", self.endpoints.udp.clone(), String::new()),
        ] {
            let addresses = self.some(&addresses);
            let policy = self.one_of(&STREAM_POLICIES);
            let probe = match name {
                "datagrams" => {
                    "health: { udp: { send: PING, expect: PING }, interval: 1s, timeout: 900ms }, "
                }
                _ => "health: { tcp: {}, interval: 1s, timeout: 900ms }, ",
            };
            let probe = self.one_of(&["", probe]);
            text += &self.pool(name, &addresses, &format!("balance: {policy}, {keys}{probe}"));
        }
        let [grpc, tcp, udp] = ["calls", "streams", "datagrams"].map(str::to_owned);
        Pools { text, http, grpc, tcp, udp }
    }

    fn pool(&mut self, name: &str, addresses: &[SocketAddr], keys: &str) -> String {
        let endpoints: Vec<_> = addresses.iter().map(|address| self.endpoint(address)).collect();
        let slow_start = self.one_of(&["0s", "2s", "10s"]);
        let outlier = self.one_of(&["off", "{ consecutive: 5 }", "{ window: 20s, eject: 5s }"]);
        let (requests, queue, attempts) =
            (self.between(300, 2000), self.between(50, 500), self.between(0, 3));
        format!(
            "  {name}:\n    {{ {keys}slow_start: {slow_start}, outlier: {outlier}, max_requests: {requests},\n      \
             queue: {{ size: {queue} }}, retry: {{ attempts: {attempts} }},\n      \
             endpoints: [{}] }}\n",
            endpoints.join(", ")
        )
    }

    fn endpoint(&mut self, address: &dyn Display) -> String {
        match self.random.u8(..3) {
            0 => format!("'{address}'"),
            1 => format!("{{ address: '{address}', weight: {} }}", self.between(1, 10)),
            _ => format!("{{ address: '{address}', max_requests: {} }}", self.between(300, 900)),
        }
    }

    // === Routes ===

    fn routes(&mut self, pools: &Pools) -> String {
        let mut routes = vec![format!(
            "  - {{ match: {{ path: {{ exact: /generation }} }}, respond: {{ body: '{}' }} }}\n",
            self.number
        )];
        for (path, methods) in [("/app", "GET"), ("/posts", "POST"), ("/blob", "GET"), ("/chat", "GET")] {
            let pool = self.one_of(&pools.http);
            routes.push(self.route(path, methods, &pool));
        }
        routes.push(self.route("/echo.Echo", "POST", &pools.grpc));
        for number in 0..self.between(0, 20) {
            let pool = self.one_of(&pools.http);
            routes.push(self.strange(number, &pool));
        }
        self.shuffled(&routes).concat()
    }

    /// A route that clients use, which is written in many ways and always means the same to them.
    fn route(&mut self, path: &str, methods: &str, pool: &str) -> String {
        let conditions = [
            String::new(),
            ", host: site.example".to_owned(),
            format!(", methods: [{methods}]"),
            ", clients: [127.0.0.0/8]".to_owned(),
        ];
        let (condition, filters) = (self.one_of(&conditions), self.filters());
        let named =
            if self.random.bool() { format!("name: r{}, ", path[1..].to_lowercase()) } else { String::new() };
        let named = named.replace('.', "-");
        format!("  - {{ {named}match: {{ path: {path}{condition} }}, filters: [{filters}], pool: {pool} }}\n")
    }

    fn filters(&mut self) -> String {
        let (number, mode) = (self.number, self.one_of(&["reject", "delay", "dry_run"]));
        let filters = [
            format!("request_headers: {{ set: {{ X-Generation: '{number}' }} }}"),
            format!("response_headers: {{ set: {{ X-Generation: '{number}' }} }}"),
            format!(
                "rate_limit: {{ rate: 100000/s, burst: {}, mode: {mode} }}",
                self.between(100_000, 200_000)
            ),
            "hsts: {}".to_owned(),
        ];
        let filters: Vec<_> =
            filters.iter().filter(|_| self.random.bool()).map(|filter| format!("{{ {filter} }}")).collect();
        self.shuffled(&filters).join(", ")
    }

    /// A route that no client takes.
    fn strange(&mut self, number: u64, pool: &str) -> String {
        let action = match self.random.u8(..3) {
            0 => format!("pool: {pool}"),
            1 => "redirect: { to: 'https://elsewhere.example{path}' }".to_owned(),
            _ => "respond: { status: 204 }".to_owned(),
        };
        let filters = self.filters();
        match self.random.bool() {
            true => {
                format!("  - {{ match: {{ host: h{number}.example }}, filters: [{filters}], {action} }}\n")
            }
            false => {
                format!("  - {{ match: {{ path: /strange/{number} }}, filters: [{filters}], {action} }}\n")
            }
        }
    }

    fn log(&mut self) -> String {
        let (level, format) = (self.one_of(&["info", "warn"]), self.one_of(&["json", "off"]));
        let to = self.one_of(&["access.log", "other.log"]);
        format!("log: {{ level: {level}, access: {{ format: {format}, to: {to} }} }}\n")
    }

    // === Chance ===

    fn between(&mut self, least: u64, most: u64) -> u64 {
        self.random.u64(least..=most)
    }

    fn one_of<T: ToString>(&mut self, choice: &[T]) -> String {
        choice[self.random.usize(..choice.len())].to_string()
    }

    fn shuffled<T: Clone>(&mut self, all: &[T]) -> Vec<T> {
        let mut all = all.to_vec();
        self.random.shuffle(&mut all);
        all
    }

    /// Two at least, in any order.
    fn some<T: Clone>(&mut self, all: &[T]) -> Vec<T> {
        let mut some = self.shuffled(all);
        some.truncate(self.random.usize(2..=all.len()));
        some
    }
}
