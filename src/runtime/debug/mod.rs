//! The header by which whoever has the debug key asks what becomes of a request, and the one that tells.

mod decision;

use std::time::{Duration, SystemTime};

use aws_lc_rs::hmac;
use http::{HeaderName, Method};

use crate::hooks::Scheme;

pub(crate) use decision::decision;

/// Asks; never goes on to an endpoint.
pub(crate) const EVENER_DEBUG: HeaderName = HeaderName::from_static("evener-debug");
/// Tells.
pub(crate) const EVENER_DECISION: HeaderName = HeaderName::from_static("evener-decision");

/// What requests are signed with whose clients want to know what becomes of them.
pub(crate) struct DebugKey(hmac::Key);

/// What is signed: one request, and when it is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Signed<'a> {
    pub(crate) method: &'a Method,
    pub(crate) scheme: Scheme,
    /// As in `Host`.
    pub(crate) host: &'a str,
    /// Path and query as they were sent.
    pub(crate) target: &'a str,
}

/// A signature is good for so long before and after its time.
const LEEWAY: Duration = Duration::from_secs(60);

impl DebugKey {
    pub(crate) fn new(secret: &[u8]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, secret))
    }

    /// The value of the header for a request that is sent now.
    pub(crate) fn sign(&self, signed: &Signed<'_>, now: SystemTime) -> String {
        let time = seconds(now);
        let tag = hmac::sign(&self.0, &signed.bytes(time));
        let hex: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
        format!("t={time}; sig={hex}")
    }

    /// Whether a header's value was made for this request, and lately. How long it takes tells nothing of the key.
    pub(crate) fn verifies(&self, value: &[u8], signed: &Signed<'_>, now: SystemTime) -> bool {
        let Some((time, tag)) = parse(value) else { return false };
        time.abs_diff(seconds(now)) <= LEEWAY.as_secs()
            && hmac::verify(&self.0, &signed.bytes(time), &tag).is_ok()
    }
}

impl std::fmt::Debug for DebugKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("DebugKey(…)")
    }
}

impl Signed<'_> {
    fn bytes(&self, time: u64) -> Vec<u8> {
        let Self { method, scheme, host, target } = self;
        let default_port = match scheme {
            Scheme::Http => ":80",
            Scheme::Https => ":443",
        };
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix(default_port).unwrap_or(&host);
        format!("evener-debug\n{method}\n{host}\n{target}\n{time}").into_bytes()
    }
}

fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// `t=1700000000; sig=` and the 64 digits of a tag.
fn parse(value: &[u8]) -> Option<(u64, [u8; 32])> {
    let text = std::str::from_utf8(value).ok()?;
    let (time, tag) = text.strip_prefix("t=")?.split_once(';')?;
    let digits = tag.trim_start().strip_prefix("sig=")?;
    let mut tag = [0; 32];
    if digits.len() != 2 * tag.len() || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    for (byte, digits) in tag.iter_mut().zip(digits.as_bytes().chunks_exact(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some((time.parse().ok()?, tag))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request<'a>(method: &'a Method, host: &'a str, target: &'a str) -> Signed<'a> {
        Signed { method, scheme: Scheme::Http, host, target }
    }

    #[test]
    fn a_signature_is_for_one_request_and_for_two_minutes() {
        let (key, now) =
            (DebugKey::new(b"secret"), SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000));
        let value = key.sign(&request(&Method::GET, "a.example", "/a?b=c"), now);
        let verifies = |key: &DebugKey, signed: Signed<'_>, later: i64| {
            let span = Duration::from_secs(i64::unsigned_abs(later));
            let at = if later < 0 { now - span } else { now + span };
            key.verifies(value.as_bytes(), &signed, at)
        };
        for (host, later) in [("a.example", 0), ("A.Example:80", 60), ("a.example", -60)] {
            assert!(verifies(&key, request(&Method::GET, host, "/a?b=c"), later), "{host} {later}");
        }
        for (method, host, target, later) in &[
            (Method::POST, "a.example", "/a?b=c", 0),
            (Method::GET, "b.example", "/a?b=c", 0),
            (Method::GET, "a.example", "/a?b=d", 0),
            (Method::GET, "a.example", "/a", 0),
            (Method::GET, "a.example", "/a?b=c", 61),
            (Method::GET, "a.example", "/a?b=c", -61),
        ] {
            assert!(
                !verifies(&key, request(method, host, target), *later),
                "{method} {host} {target} {later}"
            );
        }
        assert!(!verifies(&DebugKey::new(b"other"), request(&Method::GET, "a.example", "/a?b=c"), 0));
    }

    #[test]
    fn what_is_no_signature_is_refused() {
        let zeros = "0".repeat(64);
        for value in [
            String::new(),
            "t=1700000000".to_owned(),
            "sig=".to_owned() + &zeros,
            format!("t=; sig={zeros}"),
            format!("t=-1; sig={zeros}"),
            format!("t=1; sig={}", &zeros[1..]),
            format!("t=1; sig={zeros}0"),
            format!("t=1; sig={}é", &zeros[2..]),
            format!("t=99999999999999999999999; sig={zeros}"),
        ] {
            assert_eq!(parse(value.as_bytes()), None, "{value}");
        }
        assert!(parse(format!("t=1; sig={zeros}").as_bytes()).is_some());
    }
}
