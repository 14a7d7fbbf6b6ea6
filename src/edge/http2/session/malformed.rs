use http::Method;
use http::header::{CONTENT_LENGTH, HOST};
use pingora_http::RequestHeader;

/// Whether two servers could read a request in two ways, as far as the h2 crate lets it pass (RFC 9113 §8.1.1, §8.3.1).
pub(super) fn is_malformed(request: &RequestHeader) -> bool {
    !(is_target_sound(request.raw_path(), &request.method)
        && is_authority_sound(request)
        && is_length_sound(request))
}

/// Only CONNECT has no path, and only HTTP/1 knows targets with an authority.
fn is_target_sound(target: &[u8], method: &Method) -> bool {
    let breaks_lines = target.iter().any(|byte| matches!(byte, b'\0' | b'\r' | b'\n' | b' '));
    let is_path = target.starts_with(b"/") || target == b"*" || *method == Method::CONNECT;
    is_path && !breaks_lines
}

/// There is one host, named once or twice the same, and no user in it.
fn is_authority_sound(request: &RequestHeader) -> bool {
    let mut hosts = request.headers.get_all(HOST).iter();
    let (host, other) = (hosts.next().map(|host| host.as_bytes()), hosts.next());
    let authority = request.uri.authority().map(|authority| authority.as_str().as_bytes());
    let is_one = match (authority, host) {
        (Some(authority), Some(host)) => authority == host,
        (authority, host) => authority.is_some() || host.is_some(),
    };
    let has_user = |name: Option<&[u8]>| name.is_some_and(|name| name.contains(&b'@'));
    is_one && other.is_none() && !has_user(authority) && !has_user(host)
}

fn is_length_sound(request: &RequestHeader) -> bool {
    let mut lengths = request.headers.get_all(CONTENT_LENGTH).iter();
    let Some(length) = lengths.next() else { return true };
    let is_number = !length.is_empty() && length.as_bytes().iter().all(u8::is_ascii_digit);
    is_number && lengths.next().is_none()
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn is_refused(method: &str, uri: &str, fields: &[(&str, &str)]) -> bool {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        is_malformed(&RequestHeader::from(request.body(()).unwrap().into_parts().0))
    }

    #[test]
    fn a_host_is_named_once_or_twice_the_same() {
        assert!(!is_refused("GET", "http://a/", &[]));
        assert!(!is_refused("GET", "http://a/", &[("host", "a")]));
        assert!(!is_refused("GET", "/", &[("host", "a")]));
        assert!(!is_refused("CONNECT", "a:80", &[]));
        assert!(is_refused("GET", "/", &[]));
        assert!(is_refused("GET", "http://a/", &[("host", "b")]));
        assert!(is_refused("GET", "http://a/", &[("host", "a"), ("host", "a")]));
        assert!(is_refused("GET", "http://u@a/", &[]));
        assert!(is_refused("GET", "/", &[("host", "u@a")]));
    }

    #[test]
    fn a_target_is_a_path() {
        let is_sound = |target: &str| is_target_sound(target.as_bytes(), &Method::GET);
        for sound in ["/", "/a?b", "//a", "*"] {
            assert!(is_sound(sound), "{sound}");
        }
        for broken in ["http://b/", "a:b", "/a b", "/a\rb", "/a\nb", "/\0"] {
            assert!(!is_sound(broken), "{broken}");
        }
    }

    #[test]
    fn a_length_is_told_once_in_digits() {
        for sound in ["0", "12", "012"] {
            assert!(!is_refused("POST", "http://a/", &[("content-length", sound)]), "{sound}");
        }
        for broken in ["", "+1", "1,1", " 1", "1x"] {
            assert!(is_refused("POST", "http://a/", &[("content-length", broken)]), "{broken}");
        }
        assert!(is_refused("POST", "http://a/", &[("content-length", "1"), ("content-length", "1")]));
    }
}
