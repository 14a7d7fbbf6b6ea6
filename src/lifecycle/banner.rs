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
    admin: &[BindAddr],
    control: Option<&Path>,
) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write_banner(assembled, addresses, (admin, control), &mut out);
    out
}

fn write_banner(
    assembled: &Assembled,
    addresses: &[(ListenerName, BindAddr)],
    (admin, control): (&[BindAddr], Option<&Path>),
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
    for address in admin {
        writeln!(out, "  admin    {address}")?;
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
    let host = spec.host.as_ref().map(|hosts| match &hosts.as_slice()[0] {
        HostPattern::Exact(host) => host.clone(),
        HostPattern::Wildcard(suffix) => format!("www{suffix}"),
    });
    let serves = |index: &usize| {
        config.listeners[*index].service.http().is_some_and(|http| http.redirect_https.is_none())
    };
    let all: Vec<usize> = (0..config.listeners.len()).collect();
    let listeners = if route.listeners.is_empty() { &all } else { &route.listeners };
    let listener = &config.listeners[*listeners.iter().find(|index| serves(index))?];
    let (_, address) = addresses.iter().find(|(name, _)| *name == listener.name)?;
    is_plain.then(|| format!("curl {}", target(address, host.as_deref(), path, listener.tls.is_some())))
}

/// The arguments of curl: over TLS the name has to stand in the URL, and the certificate may be one that it does not know.
fn target(address: &BindAddr, host: Option<&str>, path: &str, is_tls: bool) -> String {
    let scheme = if is_tls { "https" } else { "http" };
    let flags = if is_tls { "-ik" } else { "-i" };
    match (address, host) {
        (BindAddr::Inet(inet), Some(host)) if is_tls => {
            let (ip, port) = (reachable(*inet).ip(), inet.port());
            let ip = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
            let resolve = format!("{host}:{port}:{ip}");
            let url = format!("https://{host}:{port}{path}");
            format!("{flags} --resolve {} {}", quoted(&resolve), quoted(&url))
        }
        (BindAddr::Inet(inet), host) => {
            let url = format!("{scheme}://{}{path}", reachable(*inet));
            format!("{flags}{} {}", host_field(host), quoted(&url))
        }
        (BindAddr::Unix(socket), host) => {
            let socket = socket.display().to_string();
            let (name, field) = if is_tls {
                (host.unwrap_or("localhost"), String::new())
            } else {
                ("localhost", host_field(host))
            };
            let url = format!("{scheme}://{name}{path}");
            format!("{flags}{field} --unix-socket {} {}", quoted(&socket), quoted(&url))
        }
    }
}

fn host_field(host: Option<&str>) -> String {
    host.map_or(String::new(), |host| format!(" -H 'Host: {host}'"))
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
        assert_eq!(target(&any, None, "/a-b_c.d~e", false), "-i http://127.0.0.1:8080/a-b_c.d~e");
        assert_eq!(
            target(&any, Some("a.example"), "/", false),
            "-i -H 'Host: a.example' http://127.0.0.1:8080/"
        );
        let socket = BindAddr::Unix("/run/evener.sock".into());
        assert_eq!(target(&socket, None, "/", false), "-i --unix-socket /run/evener.sock http://localhost/");
    }

    #[test]
    fn over_tls_the_name_stands_in_the_url() {
        let any = BindAddr::Inet("[::]:443".parse().unwrap());
        assert_eq!(target(&any, None, "/", true), "-ik 'https://[::1]:443/'");
        let resolved = "-ik --resolve 'a.example:443:[::1]' https://a.example:443/x";
        assert_eq!(target(&any, Some("a.example"), "/x", true), resolved);
        let socket = BindAddr::Unix("/run/tls.sock".into());
        assert_eq!(
            target(&socket, Some("a.example"), "/", true),
            "-ik --unix-socket /run/tls.sock https://a.example/"
        );
    }

    #[test]
    fn targets_that_a_shell_would_read_otherwise_are_quoted() {
        let v4 = BindAddr::Inet("127.0.0.1:80".parse().unwrap());
        assert_eq!(target(&v4, None, "/a'b;id", false), r"-i 'http://127.0.0.1:80/a'\''b;id'");
        let v6 = BindAddr::Inet("[::]:80".parse().unwrap());
        assert_eq!(target(&v6, None, "/", false), "-i 'http://[::1]:80/'");
        let socket = BindAddr::Unix("/run/my edge's.sock".into());
        let quoted = r"-i --unix-socket '/run/my edge'\''s.sock' 'http://localhost/$x'";
        assert_eq!(target(&socket, None, "/$x", false), quoted);
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
