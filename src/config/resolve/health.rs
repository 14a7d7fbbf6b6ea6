use http::header::HOST;

use crate::config::spec::{HealthSpec, HttpCheckSpec};
use crate::config::{Check, Endpoint, Health, KeyPath};
use crate::types::{EndpointAddr, HostPattern, Span};

use super::Resolver;
use super::respond::OWNED;

impl Resolver<'_> {
    pub(super) fn health(
        &mut self,
        spec: HealthSpec,
        endpoints: &[Endpoint],
        at: &KeyPath,
    ) -> Option<Health> {
        let HealthSpec { http, tcp, tls, grpc, udp, interval, timeout, fall, rise, port } = spec;
        if let Some(timeout) = timeout.filter(|timeout| *timeout > interval) {
            let message =
                format!("a probe may take {timeout}, which is longer than the interval of {interval}");
            self.warning(&at.child("timeout"), message).help("make the timeout shorter than the interval");
        }
        let checks = [
            http.map(|http| ("http", Check::Http(http))),
            tcp.map(|_| ("tcp", Check::Tcp)),
            tls.map(|tls| ("tls", Check::Tls(tls))),
            grpc.map(|grpc| ("grpc", Check::Grpc(grpc))),
            udp.map(|udp| ("udp", Check::Udp(udp))),
        ];
        let check = self.only_check(checks.into_iter().flatten().collect(), at)?;
        self.check_names(&check, at);
        if let Check::Udp(_) = check {
            self.check_is_reached_by_udp(endpoints, &at.child("udp"));
        }
        let timeout = timeout.unwrap_or(interval.clamp(Span::from_millis(500), Span::from_secs(2)));
        Some(Health { check, interval, timeout, fall, rise, port: port.map(Into::into) })
    }

    fn only_check(&mut self, mut checks: Vec<(&str, Check)>, at: &KeyPath) -> Option<Check> {
        match checks.as_slice() {
            [] if self.is_partial(at) => {}
            [] => {
                self.error(at, "none of `http`, `tcp`, `tls`, `grpc` and `udp` says what a probe is")
                    .help("add `http: { path: /healthz }`, `tcp: {}`, `tls: {}`, `grpc: {}` or `udp: { send: PING }`");
            }
            [_] => return checks.pop().map(|(_, check)| check),
            [(first, _), (second, _), ..] => {
                let message =
                    format!("`{first}` and `{second}` stand here together; exactly one check is allowed");
                let help = match *second {
                    "udp" => "keep one; another check needs a pool of its own",
                    _ => "keep one; each of them makes a connection first",
                };
                self.error(at, message).help(help);
            }
        }
        None
    }

    fn check_names(&mut self, check: &Check, at: &KeyPath) {
        match check {
            Check::Http(http) => {
                let at = at.child("http");
                self.check_one_host(http.host.as_ref(), &at.child("host"));
                self.check_probe_headers(http, &at.child("headers"));
            }
            Check::Tls(tls) => self.check_one_host(tls.sni.as_ref(), &at.child("tls").child("sni")),
            Check::Grpc(grpc) => {
                self.check_one_host(grpc.authority.as_ref(), &at.child("grpc").child("authority"));
            }
            Check::Tcp | Check::Udp(_) => {}
        }
    }

    fn check_is_reached_by_udp(&mut self, endpoints: &[Endpoint], path: &KeyPath) {
        let is_unix = |endpoint: &&Endpoint| matches!(endpoint.address, EndpointAddr::Unix(_));
        if let Some(endpoint) = endpoints.iter().find(is_unix) {
            let message = format!("`{}` is a Unix socket, which UDP does not reach", endpoint.address);
            self.error(path, message)
                .help("probe with `tcp: {}`, or give each endpoint an IP address and port");
        }
    }

    fn check_one_host(&mut self, host: Option<&HostPattern>, path: &KeyPath) {
        if let Some(host @ HostPattern::Wildcard(_)) = host {
            let message = format!("`{host}` is not one host, and a probe asks for one");
            self.error(path, message).help("write one of the hosts, or remove the key");
        }
    }

    fn check_probe_headers(&mut self, http: &HttpCheckSpec, path: &KeyPath) {
        let written = self.written_keys(path);
        for ((name, _), key) in http.headers.iter().zip(written) {
            if OWNED.contains(&name.0) {
                let help = if name.0 == HOST { "write it as `host` of the check" } else { "remove it" };
                self.error_at_key(
                    &path.child(key.as_str()),
                    format_args!("`{key}` is for Evener alone to set"),
                )
                .help(help);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Loaded, Origin};

    #[test]
    fn a_probe_has_as_long_as_its_interval_within_reason() {
        let timeout = |keys: &str| {
            let text = format!(
                "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
                 pools: {{ app: {{ endpoints: [127.0.0.1:1, 127.0.0.1:2], health: {{ tcp: {{}}{keys} }} }} }}\n\
                 routes: [{{ pool: app }}]\n"
            );
            let Loaded { config, .. } = Origin::test(&text).read().unwrap().sound().unwrap();
            config.pools[0].health.as_ref().unwrap().timeout.to_string()
        };
        let given = [", interval: 30s", ", interval: 1s", ", interval: 100ms", ", interval: 1s, timeout: 4s"];
        assert_eq!([timeout(""), timeout(given[0])], ["2s", "2s"]);
        assert_eq!(given[1..].iter().map(|keys| timeout(keys)).collect::<Vec<_>>(), ["1s", "500ms", "4s"]);
    }
}
