use smallvec::SmallVec;

/// The host that a client asked for, in the one form in which hosts are compared: lower case, without port and
/// closing dot. Kept in place, since hosts are short.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestHost(SmallVec<[u8; 64]>);

/// RFC 1035 §2.3.4.
const MAX_HOST: usize = 253;

impl RequestHost {
    /// Reads the value of a `Host` field or an `:authority` (RFC 9110 §7.2): a name or address, and perhaps a
    /// port. `None` when it is anything else.
    pub(crate) fn parse(authority: &[u8]) -> Option<Self> {
        let name = without_port(authority)?;
        let name = name.strip_suffix(b".").unwrap_or(name);
        let is_sound =
            if name.first() == Some(&b'[') { is_ipv6(name) } else { name.iter().all(|&b| is_reg_name(b)) };
        // An empty label is no name, and servers differ over it.
        let has_empty_label = name.split(|&byte| byte == b'.').any(<[u8]>::is_empty);
        if has_empty_label || name.len() > MAX_HOST || !is_sound {
            return None;
        }
        Some(Self(name.iter().map(u8::to_ascii_lowercase).collect()))
    }

    pub(crate) fn as_str(&self) -> &str {
        // Only ASCII passes `parse`.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

fn without_port(authority: &[u8]) -> Option<&[u8]> {
    let name_end = if authority.first() == Some(&b'[') {
        authority.iter().position(|&byte| byte == b']')? + 1
    } else {
        authority.iter().position(|&byte| byte == b':').unwrap_or(authority.len())
    };
    let (name, port) = authority.split_at(name_end);
    match port {
        [] => Some(name),
        [b':', digits @ ..] => is_port(digits).then_some(name),
        _ => None,
    }
}

/// An empty port is legal (RFC 3986 §3.2.3).
fn is_port(digits: &[u8]) -> bool {
    let number = digits.iter().try_fold(0u32, |number, &digit| {
        digit.is_ascii_digit().then(|| number.saturating_mul(10).saturating_add(u32::from(digit - b'0')))
    });
    number.is_some_and(|number| number <= 65_535) && digits.len() <= 5
}

/// Percent-encodings and sub-delimiters are legal in a registered name (RFC 3986 §3.2.2), but no host that is
/// reached over DNS has them, and servers differ over them.
fn is_reg_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')
}

fn is_ipv6(bracketed: &[u8]) -> bool {
    let inner = bracketed.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]"));
    let inner = inner.and_then(|inner| std::str::from_utf8(inner).ok());
    inner.is_some_and(|inner| inner.parse::<std::net::Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_host_is_one() {
        for spelling in ["example.com", "EXAMPLE.com", "example.com:443", "example.com.", "example.com:"] {
            assert_eq!(
                RequestHost::parse(spelling.as_bytes()).unwrap().as_str(),
                "example.com",
                "{spelling}"
            );
        }
        assert_eq!(RequestHost::parse(b"[::1]:80").unwrap().as_str(), "[::1]");
        assert_eq!(RequestHost::parse(b"10.0.0.1:80").unwrap().as_str(), "10.0.0.1");
    }

    #[test]
    fn what_is_no_host_is_refused() {
        let refused = [
            "",
            ":80",
            "a b",
            "a/b",
            "a:x",
            "a:99999",
            "a:1:2",
            "user@host",
            "[::1",
            "[zz]",
            "[::1]x",
            "a\\b",
            "a,b",
        ];
        for text in refused {
            assert_eq!(RequestHost::parse(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(RequestHost::parse(&[b'a'; 300]), None);
    }
}
