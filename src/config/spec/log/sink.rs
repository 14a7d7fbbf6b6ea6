use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::types::{MAX_UNIX_PATH, text_leaf};

/// Where the access log goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AccessSink {
    /// Standard output.
    #[default]
    Stdout,
    /// Standard error.
    Stderr,
    /// A syslog server.
    Syslog,
    /// The journal of systemd.
    Journald,
    /// A file that is appended to; created if it is not there.
    File(PathBuf),
}

/// An empty path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the path is empty; write stdout, stderr, syslog, journald or the path of a file")]
pub struct EmptyPath;

impl FromStr for AccessSink {
    type Err = EmptyPath;

    fn from_str(text: &str) -> Result<Self, EmptyPath> {
        match text {
            "stdout" => Ok(Self::Stdout),
            "stderr" => Ok(Self::Stderr),
            "syslog" => Ok(Self::Syslog),
            "journald" => Ok(Self::Journald),
            "" => Err(EmptyPath),
            path => Ok(Self::File(path.into())),
        }
    }
}

impl fmt::Display for AccessSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("stdout"),
            Self::Stderr => f.write_str("stderr"),
            Self::Syslog => f.write_str("syslog"),
            Self::Journald => f.write_str("journald"),
            Self::File(path) => path.display().fmt(f),
        }
    }
}

text_leaf!(AccessSink, "`stdout`, `stderr`, `syslog`, `journald` or a path", "/var/log/evener/access.log");

/// How lines go to syslog (RFC 5424).
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SyslogSpec {
    /// Where it listens: `unix:PATH` for datagrams, `udp://HOST:PORT`, or `tcp://HOST:PORT` (RFC 6587, with octet counting);
    /// the port is 514 unless it is said. Default: `unix:/dev/log`.
    pub address: SyslogAddr,
    /// What syslog sorts the lines by. Default: `local7`.
    pub facility: SyslogFacility,
    /// Whose lines they are. Default: `evener`.
    pub tag: SyslogTag,
}

/// How lines go to the journal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JournaldSpec {
    /// The journal's socket. Default: `/run/systemd/journal/socket`.
    pub socket: PathBuf,
    /// Whose lines they are: `SYSLOG_IDENTIFIER`. Default: `evener`.
    pub tag: SyslogTag,
}

impl Default for JournaldSpec {
    fn default() -> Self {
        Self { socket: "/run/systemd/journal/socket".into(), tag: SyslogTag::default() }
    }
}

/// Where syslog listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SyslogAddr {
    /// A Unix socket for datagrams.
    Unix(PathBuf),
    /// A host and a port for datagrams, as they are looked up.
    Udp(String),
    /// A host and a port for connections, as they are looked up.
    Tcp(String),
}

/// A text that is not the address of a syslog server.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is not where syslog listens; {reason}")]
pub struct InvalidSyslogAddr {
    found: String,
    reason: &'static str,
}

impl Default for SyslogAddr {
    fn default() -> Self {
        Self::Unix("/dev/log".into())
    }
}

impl FromStr for SyslogAddr {
    type Err = InvalidSyslogAddr;

    fn from_str(text: &str) -> Result<Self, InvalidSyslogAddr> {
        const FORM: &str = "write unix:PATH, udp://HOST:PORT or tcp://HOST:PORT";
        let fail = |reason| InvalidSyslogAddr { found: text.to_owned(), reason };
        if let Some(path) = text.strip_prefix("unix:") {
            return match path.len() {
                0 => Err(fail("the path after `unix:` is empty")),
                1..=MAX_UNIX_PATH => Ok(Self::Unix(path.into())),
                _ => Err(fail("a Unix socket's path has at most 107 bytes")),
            };
        }
        let of_udp = text.strip_prefix("udp://");
        let rest = of_udp.or_else(|| text.strip_prefix("tcp://")).ok_or_else(|| fail(FORM))?;
        let address = with_port(rest).ok_or_else(|| fail(FORM))?;
        Ok(if of_udp.is_some() { Self::Udp(address) } else { Self::Tcp(address) })
    }
}

/// `HOST:PORT`, with the port that syslog has unless another is written.
fn with_port(text: &str) -> Option<String> {
    let is_host = |host: &str| {
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        match bracketed {
            Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
            None => !host.is_empty() && host.chars().all(allowed),
        }
    };
    if is_host(text) {
        return Some(format!("{text}:514"));
    }
    let (host, port) = text.rsplit_once(':')?;
    let is_port = port.parse::<u16>().is_ok_and(|port| port > 0);
    (is_host(host) && is_port).then(|| text.to_owned())
}

impl fmt::Display for SyslogAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Udp(address) => write!(f, "udp://{address}"),
            Self::Tcp(address) => write!(f, "tcp://{address}"),
        }
    }
}

text_leaf!(SyslogAddr, "where syslog listens", "udp://10.0.0.9:514");

/// What syslog sorts lines by (RFC 5424 §6.2.1).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs, reason = "the names are syslog's own")]
pub enum SyslogFacility {
    User = 1,
    Daemon = 3,
    Local0 = 16,
    Local1,
    Local2,
    Local3,
    Local4,
    Local5,
    Local6,
    #[default]
    Local7,
}

/// Whose lines they are: 1 to 48 visible ASCII characters (RFC 5424 §6.2.5).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyslogTag(String);

/// A text that syslog takes no tag to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no tag; write 1 to 48 visible ASCII characters")]
pub struct InvalidSyslogTag(String);

impl SyslogTag {
    /// The tag.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for SyslogTag {
    fn default() -> Self {
        Self("evener".to_owned())
    }
}

impl FromStr for SyslogTag {
    type Err = InvalidSyslogTag;

    fn from_str(text: &str) -> Result<Self, InvalidSyslogTag> {
        let is_sound = (1..=48).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic());
        if is_sound { Ok(Self(text.to_owned())) } else { Err(InvalidSyslogTag(text.to_owned())) }
    }
}

impl fmt::Display for SyslogTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

text_leaf!(SyslogTag, "a tag", "evener");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_with_their_default() {
        let cases = [
            ("unix:/dev/log", "unix:/dev/log"),
            ("udp://10.0.0.9", "udp://10.0.0.9:514"),
            ("tcp://logs.internal:6514", "tcp://logs.internal:6514"),
            ("tcp://[2001:db8::9]", "tcp://[2001:db8::9]:514"),
            ("udp://[::1]:1514", "udp://[::1]:1514"),
        ];
        for (text, expected) in cases {
            assert_eq!(text.parse::<SyslogAddr>().unwrap().to_string(), expected);
        }
        for text in
            ["", "/dev/log", "unix:", "10.0.0.9:514", "tcp://", "tcp://a:0", "tcp://2001:db8::9", "udp://a b"]
        {
            assert!(text.parse::<SyslogAddr>().is_err(), "{text}");
        }
    }
}
