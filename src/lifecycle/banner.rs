use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::spec::PathSpec;
use crate::config::{self, Config};
use crate::runtime::Assembled;
use crate::types::{BindAddr, HostPattern, ListenerName};

/// How many requests to try are shown.
const EXAMPLES: usize = 3;

/// What is printed when the edge is up: where it listens, what is behind it, and requests to try.
pub(crate) fn banner(assembled: &Assembled, addresses: &[(ListenerName, BindAddr)]) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write_banner(assembled, addresses, &mut out);
    out
}

fn write_banner(
    assembled: &Assembled,
    addresses: &[(ListenerName, BindAddr)],
    out: &mut String,
) -> std::fmt::Result {
    let config = &assembled.config;
    writeln!(out, "evener {} is up", env!("CARGO_PKG_VERSION"))?;
    for (listener, address) in addresses {
        writeln!(out, "  listener {:<12} {address}", listener.as_str())?;
    }
    for pool in &config.pools {
        let endpoints: Vec<_> = pool.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
        writeln!(
            out,
            "  pool     {:<12} {}: {}",
            pool.name.as_str(),
            pool.balance.policy,
            endpoints.join(" ")
        )?;
    }
    let order = assembled.snapshot.router.effective_order();
    let routes = order.iter().map(|id| &config.routes[id.0]);
    let examples: Vec<_> =
        routes.filter_map(|route| example(route, config, addresses)).take(EXAMPLES).collect();
    if !examples.is_empty() {
        writeln!(out, "try")?;
    }
    for example in examples {
        writeln!(out, "  {example}")?;
    }
    Ok(())
}

/// A command that takes the route, where one can be made up: nothing but its host and path may matter.
fn example(route: &config::Route, config: &Config, addresses: &[(ListenerName, BindAddr)]) -> Option<String> {
    let spec = &route.matches;
    let is_plain = spec.methods.is_empty()
        && spec.headers.is_empty()
        && spec.query.is_empty()
        && spec.cookies.is_empty()
        && spec.clients.is_empty();
    let path = match &spec.path {
        None => "/",
        Some(PathSpec::Prefix(path) | PathSpec::Exact(path)) => path,
        Some(PathSpec::Regex(_)) => return None,
    };
    let host = match spec.host.as_ref().map(|hosts| &hosts.as_slice()[0]) {
        None => String::new(),
        Some(HostPattern::Exact(host)) => format!(" -H 'Host: {host}'"),
        Some(HostPattern::Wildcard(suffix)) => format!(" -H 'Host: www{suffix}'"),
    };
    let name = match route.listeners.first() {
        Some(&index) => &config.listeners[index].name,
        None => &addresses.first()?.0,
    };
    let target =
        addresses.iter().filter(|(listener, _)| listener == name).find_map(|(_, address)| url(address, path));
    target.filter(|_| is_plain).map(|target| format!("curl -i{host} {target}"))
}

fn url(address: &BindAddr, path: &str) -> Option<String> {
    match address {
        BindAddr::Inet(inet) => Some(format!("http://{}{path}", reachable(*inet))),
        BindAddr::Unix(socket) => Some(format!("--unix-socket {} http://localhost{path}", socket.display())),
    }
}

/// An address that a client on this machine can connect to.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}
