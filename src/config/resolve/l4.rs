use std::net::IpAddr;

use crate::config::spec::{NamedMap, SniTarget, TcpSpec, UdpSpec};
use crate::config::{KeyPath, Listener, Pool, Route, Service, SniPools, Tcp, Udp};
use crate::types::{EndpointAddr, HostPattern};

use super::Resolver;
use super::names::PoolNames;

impl Resolver<'_> {
    pub(super) fn tcp(
        &mut self,
        spec: TcpSpec,
        has_tls: bool,
        listener: &KeyPath,
        pools: &PoolNames<'_>,
    ) -> Tcp {
        let at = listener.child("tcp");
        self.refuse_keys(listener, "tcp", &["http", "redirect_https"]);
        self.refuse_keys(&listener.child("limits"), "tcp", &["header", "body", "keepalive", "send_idle"]);
        if spec.pool.is_none() && spec.sni.is_empty() && !self.is_partial(&at) {
            self.error(&at, "neither `pool` nor `sni` says where connections go")
                .help("add a pool, like `tcp: { pool: postgres }`");
        }
        let pool = spec.pool.and_then(|pool| self.pool(&pool, &at.child("pool"), pools));
        let sni = self.sni(spec.sni, has_tls, &at.child("sni"), pools);
        self.check_own_lines(&at.child("access_log"));
        let TcpSpec { idle, connect, lifetime, access_log, .. } = spec;
        Tcp { pool, sni, idle, connect, lifetime: lifetime.0, access_log }
    }

    fn sni(
        &mut self,
        specs: NamedMap<HostPattern, SniTarget>,
        has_tls: bool,
        at: &KeyPath,
        pools: &PoolNames<'_>,
    ) -> Vec<(HostPattern, SniPools)> {
        let paths: Vec<KeyPath> = self.written_keys(at).into_iter().map(|key| at.child(key)).collect();
        let mut all = Vec::with_capacity(specs.len());
        for ((name, target), path) in specs.into_iter().zip(&paths) {
            let SniTarget { pool, alpn } = target;
            if is_address(&name) {
                self.error_at_key(path, format!("clients never ask for an address, as `{name}` is"))
                    .help("write the name that they ask for; without one they go to `tcp.pool`");
            }
            if pool.is_none() && alpn.is_empty() && !self.is_partial(path) {
                self.error(path, "neither `pool` nor `alpn` says where connections go")
                    .help("write the pool, like `db.example.com: postgres`");
            }
            if has_tls && !alpn.is_empty() {
                self.error(&path.child("alpn"), "TLS ends here, and no protocol is agreed on in it")
                    .help("remove `alpn`, or the `tls` of the listener so that TLS passes through");
            }
            let is_text = alpn.is_empty() && self.source.root().at(&path.child("pool")).is_none();
            let pool_path = if is_text { path.clone() } else { path.child("pool") };
            let pool = pool.and_then(|pool| self.pool(&pool, &pool_path, pools));
            let mut by_protocol = Vec::with_capacity(alpn.len());
            for (protocol, pool) in alpn {
                let path = path.child("alpn").child(protocol.to_string());
                by_protocol.extend(self.pool(&pool, &path, pools).map(|pool| (protocol, pool)));
            }
            all.push((name, SniPools { pool, alpn: by_protocol }));
        }
        all
    }

    /// Without the pool there is nothing to serve; the error that was noted keeps what stands for it from ever serving.
    pub(super) fn udp(&mut self, spec: &UdpSpec, listener: &KeyPath, pools: &PoolNames<'_>) -> Udp {
        self.refuse_keys(listener, "udp", &["http", "redirect_https", "tls", "proxy_protocol"]);
        if self.source.root().at(&listener.child("limits")).is_some() {
            self.error(&listener.child("limits"), "`limits` are for connections, and datagrams have none")
                .help("write how many flows there may be: `udp: { flows: 65536 }`");
        }
        let pool = self.pool(&spec.pool, &listener.child("udp").child("pool"), pools);
        let UdpSpec { idle, flows, responses, .. } = *spec;
        Udp { pool: pool.unwrap_or_default(), idle, flows, responses }
    }

    /// Refuses what is written but has no meaning beside `service`.
    fn refuse_keys(&mut self, at: &KeyPath, service: &str, keys: &[&str]) {
        for key in keys {
            let path = at.child(*key);
            if self.source.root().at(&path).is_some() {
                let message = format!("`{key}` is nothing for a listener with `{service}`");
                let help = match *key {
                    "tls" => "remove it; what comes in datagrams passes as it is".to_owned(),
                    "proxy_protocol" => "remove it; datagrams have no PROXY header here".to_owned(),
                    _ => format!("remove it, or `{service}` to speak HTTP"),
                };
                self.error_at_key(&path, message).help(help);
            }
        }
    }

    // === Pools ===

    /// Looks at pools once it is known who uses them: what only HTTP has is refused where nobody speaks it.
    pub(super) fn check_pools_of_l4(&mut self, listeners: &[Listener], routes: &[Route], pools: &[Pool]) {
        for listener in listeners {
            let Service::Udp(udp) = &listener.service else { continue };
            if let Some(pool) = pools.get(udp.pool) {
                self.check_udp_pool(pool, listener);
            }
        }
        for (index, pool) in pools.iter().enumerate() {
            let user = listeners.iter().find(|listener| listener.service.pools().contains(&index));
            let serves_http = routes.iter().any(|route| route.action.pools().contains(&index));
            if let Some(user) = user
                && !serves_http
                && !self.is_named_by_a_filter(pool.name.as_str(), routes)
            {
                self.refuse_http_keys(pool, user);
            }
        }
    }

    fn check_udp_pool(&mut self, pool: &Pool, listener: &Listener) {
        let at = KeyPath::default().child("pools").child(pool.name.as_str());
        let user = &listener.name;
        if pool.tls.is_some() {
            let message =
                format!("datagrams would go out in the clear: `udp` of listener `{user}` uses the pool");
            self.error_at_key(&at.child("tls"), message).help("make a pool without `tls` for them");
        }
        if self.source.root().at(&at.child("send_proxy_protocol")).is_some() {
            let message = format!("datagrams have no PROXY header: `udp` of listener `{user}` uses the pool");
            self.error_at_key(&at.child("send_proxy_protocol"), message)
                .help("make a pool without it for them");
        }
        let is_unix = |endpoint: &crate::config::Endpoint| matches!(endpoint.address, EndpointAddr::Unix(_));
        if let Some(place) = pool.endpoints.iter().position(is_unix) {
            let message = format!("datagrams go to IP addresses: `udp` of listener `{user}` uses the pool");
            let path = self.items(&at.child("endpoints")).nth(place).unwrap_or(at);
            self.error(&path, message).help("write IP:PORT or [IPV6]:PORT");
        }
    }

    fn refuse_http_keys(&mut self, pool: &Pool, user: &Listener) {
        let at = KeyPath::default().child("pools").child(pool.name.as_str());
        let service = if matches!(user.service, Service::Udp(_)) { "udp" } else { "tcp" };
        for key in HTTP_KEYS {
            let path = key.iter().fold(at.clone(), |path, step| path.child(*step));
            if self.source.root().at(&path).is_some() {
                let message = format!(
                    "`{}` is about HTTP, and nobody but `{service}` of listener `{}` uses the pool",
                    key.join("."),
                    user.name
                );
                self.error_at_key(&path, message).help("remove it");
            }
        }
    }
}

/// What a pool has for requests alone.
const HTTP_KEYS: [&[&str]; 9] = [
    &["protocol"],
    &["h2_streams"],
    &["keepalive"],
    &["sticky"],
    &["retry", "per_try"],
    &["timeouts", "first_byte"],
    &["timeouts", "idle"],
    &["timeouts", "total"],
    &["timeouts", "tunnel"],
];

/// RFC 6066 §3 has names only.
fn is_address(name: &HostPattern) -> bool {
    matches!(name, HostPattern::Exact(name) if name.parse::<IpAddr>().is_ok() || name.starts_with('['))
}
