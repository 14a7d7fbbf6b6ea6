use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use rustls::pki_types::ServerName;

use super::text_leaf;

/// Where a Redis answers: `redis://HOST`, `redis://HOST:PORT/DATABASE`, `rediss://` for the same over TLS, or `unix:PATH` for
/// database 0 behind a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisAddr {
    /// Over TCP.
    Tcp {
        /// A name, or an IP address without brackets.
        host: String,
        /// 6379 unless it is said.
        port: u16,
        /// 0 unless it is said.
        database: u16,
        /// Whether TLS is spoken; the host can then stand in a certificate.
        is_tls: bool,
    },
    /// Over a Unix socket.
    Unix(PathBuf),
}

/// A text that is not the address of a Redis. It is not shown, since it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not the address of a Redis: {reason}")]
pub struct InvalidRedisAddr {
    reason: &'static str,
}

const PORT: u16 = 6379;
const FORM: &str = "write redis://HOST:PORT, redis://HOST:PORT/DATABASE, rediss:// for TLS, or unix:PATH";

impl FromStr for RedisAddr {
    type Err = InvalidRedisAddr;

    fn from_str(text: &str) -> Result<Self, InvalidRedisAddr> {
        let fail = |reason| InvalidRedisAddr { reason };
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.is_empty() { Err(fail(FORM)) } else { Ok(Self::Unix(path.into())) };
        }
        let over_tls = text.strip_prefix("rediss://");
        let rest = over_tls.or_else(|| text.strip_prefix("redis://")).ok_or_else(|| fail(FORM))?;
        if rest.contains('@') {
            return Err(fail("who we are belongs into `user` and `password`"));
        }
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let database = if database.is_empty() { "0" } else { database };
        let database = database.parse().map_err(|_| fail("a database is a number, 0 to 65535"))?;
        let (host, port) = split_port(authority).ok_or_else(|| fail(FORM))?;
        let port = port.map_or(Ok(PORT), str::parse).map_err(|_| fail("a port is a number, 1 to 65535"))?;
        let is_name = |c: char| c.is_ascii_alphanumeric() || "_.-:".contains(c);
        if host.is_empty() || port == 0 || !host.chars().all(is_name) {
            return Err(fail(FORM));
        }
        let is_tls = over_tls.is_some();
        if is_tls && ServerName::try_from(host).is_err() {
            return Err(fail("its host is a name that can stand in no certificate"));
        }
        Ok(Self::Tcp { host: host.to_owned(), port, database, is_tls })
    }
}

/// The host without brackets, and what stands behind its colon.
fn split_port(authority: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = authority.strip_prefix('[') {
        let (host, rest) = rest.split_once(']')?;
        return match rest {
            "" => Some((host, None)),
            rest => Some((host, Some(rest.strip_prefix(':')?))),
        };
    }
    match authority.split_once(':') {
        Some((_, port)) if port.contains(':') => None,
        Some((host, port)) => Some((host, Some(port))),
        None => Some((authority, None)),
    }
}

impl fmt::Display for RedisAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port, database, is_tls } => {
                let scheme = if *is_tls { "rediss" } else { "redis" };
                let (open, close) = if host.contains(':') { ("[", "]") } else { ("", "") };
                write!(f, "{scheme}://{open}{host}{close}:{port}/{database}")
            }
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

text_leaf!(RedisAddr, "the address of a Redis", "redis://10.0.0.5:6379");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_their_defaults() {
        let cases = [
            ("redis://10.0.0.5", "redis://10.0.0.5:6379/0"),
            ("redis://redis.internal:6380", "redis://redis.internal:6380/0"),
            ("redis://localhost/7", "redis://localhost:6379/7"),
            ("redis://[::1]", "redis://[::1]:6379/0"),
            ("rediss://redis.internal", "rediss://redis.internal:6379/0"),
            ("rediss://[2001:db8::1]:6380/1", "rediss://[2001:db8::1]:6380/1"),
            ("redis://[2001:db8::1]:1/2", "redis://[2001:db8::1]:1/2"),
            ("unix:run/redis.sock", "unix:run/redis.sock"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<RedisAddr>().unwrap().to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_none_is_refused_without_being_shown() {
        let cases = [
            ("10.0.0.5:6379", "redis://HOST"),
            ("rediss://-.", "certificate"),
            ("rediss://user:hunter2@10.0.0.5", "`password`"),
            ("redis://user:hunter2@10.0.0.5", "`password`"),
            ("redis://", "redis://HOST"),
            ("redis://a:0", "redis://HOST"),
            ("redis://a:x", "a port"),
            ("redis://a/b", "a database"),
            ("redis://2001:db8::1", "redis://HOST"),
            ("redis://[::1", "redis://HOST"),
            ("redis://[::1]x", "redis://HOST"),
            ("redis://a b", "redis://HOST"),
            ("unix:", "redis://HOST"),
        ];
        for (text, part) in cases {
            let error = text.parse::<RedisAddr>().unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("hunter2"), "{text}: {error}");
        }
    }
}
