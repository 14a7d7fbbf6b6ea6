use std::borrow::Cow;
use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use crate::config::spec::PathSpec;
use crate::config::{self, Config};
use crate::runtime::Assembled;
use crate::types::{BindAddr, HostPattern, ListenerName};

/// How many requests to try are shown.
const EXAMPLES: usize = 3;

/// What is printed when the edge is up: where it listens, what is behind it, and requests to try.
pub(crate) fn banner(
    assembled: &Assembled,
    addresses: &[(ListenerName, BindAddr)],
    control: Option<&Path>,
) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write_banner(assembled, addresses, control, &mut out);
    out
}

fn write_banner(
    assembled: &Assembled,
    addresses: &[(ListenerName, BindAddr)],
    control: Option<&Path>,
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
    if let Some(path) = control {
        writeln!(out, "  control  {}", path.display())?;
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
    let (_, address) = addresses.iter().find(|(listener, _)| listener == name)?;
    is_plain.then(|| format!("curl -i{host} {}", target(address, path)))
}

fn target(address: &BindAddr, path: &str) -> String {
    match address {
        BindAddr::Inet(inet) => quoted(&format!("http://{}{path}", reachable(*inet))).into_owned(),
        BindAddr::Unix(socket) => {
            let socket = socket.display().to_string();
            let url = format!("http://localhost{path}");
            format!("--unix-socket {} {}", quoted(&socket), quoted(&url))
        }
    }
}

/// The word as a shell reads it back: in single quotes, unless no shell could take it for anything else.
fn quoted(word: &str) -> Cow<'_, str> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._~:-".contains(&byte);
    if word.bytes().all(is_plain) {
        return Cow::Borrowed(word);
    }
    Cow::Owned(format!("'{}'", word.replace('\'', r"'\''")))
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

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn plain_targets_stay_as_they_are() {
        let any = BindAddr::Inet("0.0.0.0:8080".parse().unwrap());
        assert_eq!(target(&any, "/a-b_c.d~e"), "http://127.0.0.1:8080/a-b_c.d~e");
        let socket = BindAddr::Unix("/run/evener.sock".into());
        assert_eq!(target(&socket, "/"), "--unix-socket /run/evener.sock http://localhost/");
    }

    #[test]
    fn targets_that_a_shell_would_read_otherwise_are_quoted() {
        let v4 = BindAddr::Inet("127.0.0.1:80".parse().unwrap());
        assert_eq!(target(&v4, "/a'b;id"), r"'http://127.0.0.1:80/a'\''b;id'");
        let v6 = BindAddr::Inet("[::]:80".parse().unwrap());
        assert_eq!(target(&v6, "/"), "'http://[::1]:80/'");
        let socket = BindAddr::Unix("/run/my edge's.sock".into());
        assert_eq!(target(&socket, "/$x"), r"--unix-socket '/run/my edge'\''s.sock' 'http://localhost/$x'");
    }

    #[test]
    fn a_shell_reads_back_what_was_quoted() {
        for word in ["/plain", "/a'b;id", "''", "/$HOME/`id`/\\", "/a&b(c)*!", "/~", "/a b"] {
            let line = format!("printf %s {}", quoted(word));
            let output = Command::new("sh").args(["-c", &line]).output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap(), word);
        }
    }
}
