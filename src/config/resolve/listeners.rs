use std::net::SocketAddr;

use crate::config::node::Node;
use crate::config::spec::{HttpVersion, ListenerSpec, NamedMap, OneOrMany};
use crate::config::{KeyPath, Listener};
use crate::types::{BindAddr, ListenerName};

use super::Resolver;

/// Addresses that are in use, and by whom.
type Taken = Vec<(BindAddr, KeyPath)>;

impl Resolver<'_> {
    pub(super) fn listeners(
        &mut self,
        specs: NamedMap<ListenerName, ListenerSpec>,
        at: &KeyPath,
    ) -> Vec<Listener> {
        if specs.is_empty() && !self.is_partial(at) {
            self.error(at, "there is no listener, so no client can connect")
                .help("add one, like `listeners: { web: { bind: 0.0.0.0:8080 } }`");
        }
        let mut taken = Taken::new();
        let mut listeners = Vec::with_capacity(specs.len());
        for (name, spec) in specs {
            let path = at.child(name.as_str());
            let binds = self.binds(spec.bind, &path.child("bind"), &mut taken);
            self.check_versions(&spec.http.versions, &path.child("http").child("versions"));
            let tls = spec.tls.map(|tls| self.listener_tls(tls, &path.child("tls")));
            let redirect_https = spec.redirect_https.0;
            if redirect_https.is_some() && tls.is_some() {
                self.error(
                    &path.child("redirect_https"),
                    "a listener with `tls` has nobody to send to https",
                )
                .help("put it on the listener of port 80");
            }
            listeners.push(Listener {
                name,
                binds,
                tls,
                redirect_https,
                proxy_protocol_from: spec.proxy_protocol.map(|spec| spec.from.into_iter().collect()),
                http: spec.http,
                limits: spec.limits,
            });
        }
        listeners
    }

    fn binds(&mut self, specs: OneOrMany<BindAddr>, at: &KeyPath, taken: &mut Taken) -> Vec<BindAddr> {
        let is_list = matches!(self.source.root().at(at), Some(Node::List(_)));
        let paths: Box<dyn Iterator<Item = KeyPath>> =
            if is_list { Box::new(self.items(at)) } else { Box::new(std::iter::once(at.clone())) };
        let mut binds = Vec::new();
        for (bind, path) in specs.into_iter().zip(paths) {
            let bind = bind.relative_to(self.base);
            self.check_bind(&bind, &path, taken);
            binds.push(bind);
        }
        binds
    }

    fn check_bind(&mut self, bind: &BindAddr, path: &KeyPath, taken: &mut Taken) {
        if let BindAddr::Unix(socket) = bind {
            self.check_socket_path(socket, path);
        }
        if matches!(bind, BindAddr::Inet(addr) if is_chosen_by_kernel(*addr)) {
            return;
        }
        match taken.iter().find(|(known, _)| known == bind) {
            Some((_, owner)) => {
                let message = format!("`{bind}` is taken by `{owner}` already");
                self.error(path, message)
                    .help("an address belongs to one listener; use another port or address");
            }
            None => taken.push((bind.clone(), path.clone())),
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
