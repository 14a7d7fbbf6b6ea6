use http::Request;
use http::header::HOST;

use crate::types::{HostPattern, RequestHost};

/// Whether a request is for this process by its own name. A page that a browser shows may have its own name lead here (DNS
/// rebinding), and would read what comes back; but the browser says that name. Who says none is no browser.
pub(super) fn is_asked_for_itself<B>(request: &Request<B>, hosts: &[HostPattern]) -> bool {
    let in_target = request.uri().authority().map(|authority| authority.as_str().as_bytes());
    let in_fields = request.headers().get_all(HOST).iter().map(|value| value.as_bytes());
    in_target.into_iter().chain(in_fields).all(|authority| is_own(authority, hosts))
}

fn is_own(authority: &[u8], hosts: &[HostPattern]) -> bool {
    let Some(host) = RequestHost::parse(authority) else { return false };
    let host = host.as_str();
    // The brackets are those of an IPv6 address, as it was read.
    let is_address = host.starts_with('[') || host.parse::<std::net::Ipv4Addr>().is_ok();
    is_address || host == "localhost" || hosts.iter().any(|pattern| pattern.matches(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_taken(target: &str, fields: &[&str]) -> bool {
        let hosts = ["edge.internal", "*.ops.example"].map(|host| host.parse().unwrap());
        let mut request = Request::builder().uri(target);
        for field in fields {
            request = request.header(HOST, *field);
        }
        is_asked_for_itself(&request.body(()).unwrap(), &hosts)
    }

    #[test]
    fn addresses_and_own_names_are_taken() {
        for host in [
            "127.0.0.1",
            "127.0.0.1:9901",
            "10.0.0.7:80",
            "[::1]:9901",
            "localhost",
            "LOCALHOST:9901",
            "edge.internal:9901",
            "a.ops.example",
        ] {
            assert!(is_taken("/metrics", &[host]), "{host}");
        }
        assert!(is_taken("/metrics", &[]));
        assert!(is_taken("http://localhost/metrics", &["localhost"]));
    }

    #[test]
    fn the_name_of_somebody_else_is_refused_wherever_it_stands() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "ops.example",
            "0x7f000001",
            "",
        ] {
            assert!(!is_taken("/metrics", &[host]), "{host}");
        }
        assert!(!is_taken("/metrics", &["localhost", "evil.example"]));
        assert!(!is_taken("http://evil.example/metrics", &["localhost"]));
        assert!(!is_taken("http://evil.example/metrics", &[]));
    }
}
