use std::net::SocketAddr;

use crate::config::node::Node;
use crate::config::spec::{HttpSpec, HttpVersion, ListenerSpec, NamedMap, OneOrMany, RedirectHttpsSpec};
use crate::config::{Http, KeyPath, Listener, Service};
use crate::types::{BindAddr, ListenerName};

use super::Resolver;
use super::names::PoolNames;

/// Addresses that are in use, and by whom; those of UDP beside the others.
pub(super) type Taken = Vec<(BindAddr, IsUdp, KeyPath)>;
type IsUdp = bool;

/// Of an address that connections are accepted on.
pub(super) const TCP: IsUdp = false;

impl Resolver<'_> {
    pub(super) fn listeners(
        &mut self,
        specs: NamedMap<ListenerName, ListenerSpec>,
        at: &KeyPath,
        pools: &PoolNames<'_>,
        taken: &mut Taken,
    ) -> Vec<Listener> {
        if specs.is_empty() && !self.is_partial(at) {
            self.error(at, "there is no listener, so no client can connect")
                .help("add one, like `listeners: { web: { bind: 0.0.0.0:8080 } }`");
        }
        let paths: Vec<_> = specs.iter().map(|(name, _)| at.child(name.as_str())).collect();
        let listeners = specs.into_iter().zip(paths);
        listeners.map(|((name, spec), path)| self.one_listener(name, spec, &path, taken, pools)).collect()
    }

    fn one_listener(
        &mut self,
        name: ListenerName,
        spec: ListenerSpec,
        path: &KeyPath,
        taken: &mut Taken,
        pools: &PoolNames<'_>,
    ) -> Listener {
        let ListenerSpec { bind, tls, redirect_https, proxy_protocol, http, tcp, udp, limits } = spec;
        let binds = self.binds(bind, &path.child("bind"), udp.is_some(), taken);
        let tls = tls.map(|tls| self.listener_tls(tls, &path.child("tls")));
        let service = match (tcp, udp) {
            (Some(tcp), None) => Service::Tcp(self.tcp(tcp, tls.is_some(), path, pools)),
            (None, Some(udp)) => Service::Udp(self.udp(&udp, path, pools)),
            (None, None) => Service::Http(self.http(http, redirect_https, tls.is_some(), path)),
            (Some(tcp), Some(_)) => {
                let message = "`tcp` and `udp` stand here together; one of them is allowed";
                self.error(path, message)
                    .help("make another listener for the other; both may have the same port");
                Service::Tcp(self.tcp(tcp, tls.is_some(), path, pools))
            }
        };
        let proxy_protocol_from = proxy_protocol.map(|spec| spec.from.into_iter().collect());
        Listener { name, binds, tls, proxy_protocol_from, service, limits }
    }

    fn http(&mut self, spec: HttpSpec, redirect: RedirectHttpsSpec, has_tls: bool, path: &KeyPath) -> Http {
        self.check_versions(&spec.versions, &path.child("http").child("versions"));
        let redirect_https = redirect.0;
        if redirect_https.is_some() && has_tls {
            self.error(&path.child("redirect_https"), "a listener with `tls` has nobody to send to https")
                .help("put it on the listener of port 80");
        }
        Http { spec, redirect_https }
    }

    pub(super) fn binds(
        &mut self,
        specs: OneOrMany<BindAddr>,
        at: &KeyPath,
        is_udp: IsUdp,
        taken: &mut Taken,
    ) -> Vec<BindAddr> {
        let is_list = matches!(self.source.root().at(at), Some(Node::List(_)));
        let paths: Box<dyn Iterator<Item = KeyPath>> =
            if is_list { Box::new(self.items(at)) } else { Box::new(std::iter::once(at.clone())) };
        let mut binds = Vec::new();
        for (bind, path) in specs.into_iter().zip(paths) {
            let bind = bind.relative_to(self.base);
            self.check_bind(&bind, is_udp, &path, taken);
            binds.push(bind);
        }
        binds
    }

    fn check_bind(&mut self, bind: &BindAddr, is_udp: IsUdp, path: &KeyPath, taken: &mut Taken) {
        if let BindAddr::Unix(socket) = bind {
            self.check_socket_path(socket, path);
            if is_udp {
                self.error(path, "datagrams come to an IP address and a port, not to a Unix socket")
                    .help("write IP:PORT or [IPV6]:PORT");
            }
        }
        if matches!(bind, BindAddr::Inet(addr) if is_chosen_by_kernel(*addr)) {
            return;
        }
        match taken.iter().find(|(known, kind, _)| known == bind && *kind == is_udp) {
            Some((_, _, owner)) => {
                let message = format!("`{bind}` is taken by `{owner}` already");
                self.error(path, message)
                    .help("an address belongs to one listener; use another port or address");
            }
            None => taken.push((bind.clone(), is_udp, path.clone())),
        }
    }

    fn check_versions(&mut self, versions: &[HttpVersion], at: &KeyPath) {
        if versions.is_empty() && !self.is_partial(at) {
            self.error(at, "the list is empty, so nothing could be served")
                .help("write [h1], [h2] or [h1, h2]");
        }
        let paths = self.items(at);
        for (place, (version, path)) in versions.iter().zip(paths).enumerate() {
            if versions[..place].contains(version) {
                self.error(&path, "the version stands here twice").help("remove one");
            }
        }
    }
}

/// Port 0 gives a new port each time.
fn is_chosen_by_kernel(address: SocketAddr) -> bool {
    address.port() == 0
}
