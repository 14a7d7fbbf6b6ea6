use std::hash::{BuildHasher, Hash};
use std::net::IpAddr;

use aws_lc_rs::digest::{SHA256, digest};
use http::HeaderMap;
use twox_hash::XxHash3_64;

pub use crate::config::spec::{InvalidKey, InvalidPartName, KeySpec, PartName};
use crate::types::{ClientKey, client_key, cookie};

use super::variables::Variables;
use super::{FilterCx, PickCx, RequestView};

/// The key of all requests that have none, which therefore share one limit (fail closed).
pub(crate) const NO_KEY: u128 = 0;

/// What keys are taken from: the parts of a request that filters and policies alike see.
#[derive(Clone, Copy, Debug)]
pub struct KeyParts<'a> {
    client_ip: IpAddr,
    host: &'a str,
    path: &'a str,
    query: Option<&'a str>,
    headers: &'a HeaderMap,
    variables: &'a Variables,
}

/// The part of a request that is its key.
enum KeyPart<'a> {
    Client(ClientKey),
    Text(&'a [u8]),
}

// === KeyParts ===

impl<'a> KeyParts<'a> {
    /// Those of a request as a filter sees it.
    pub fn of(request: &'a RequestView<'_>, cx: &'a FilterCx<'_>) -> Self {
        Self {
            client_ip: cx.facts().client_ip,
            host: request.host(),
            path: request.path(),
            query: request.query(),
            headers: request.headers(),
            variables: cx.variables,
        }
    }
}

impl<'a> From<&PickCx<'a>> for KeyParts<'a> {
    fn from(cx: &PickCx<'a>) -> Self {
        let PickCx { client_ip, host, path, query, headers, variables, .. } = *cx;
        Self { client_ip, host, path, query, headers, variables }
    }
}

// === KeySpec ===

impl KeySpec {
    /// The request's key as a number: equal for requests that belong together, and evenly spread as far as
    /// `state` spreads. `None` when the request has no such header, cookie or parameter.
    ///
    /// With a [`RandomState`](std::hash::RandomState) or a [`KeySeed`](super::KeySeed) nobody can choose keys that meet
    /// in the same place. Costs two rounds of `state` and no allocation.
    pub fn hash(&self, parts: KeyParts<'_>, ipv6_prefix: u8, state: &impl BuildHasher) -> Option<u128> {
        Some(match self.part_of(parts, ipv6_prefix)? {
            KeyPart::Client(client) => wide(state, client.as_u128()),
            KeyPart::Text(text) => wide(state, text),
        })
    }

    /// The request's key as a number that is the same in every process, on every machine and in every version
    /// (XXH3, 64 bits), for what must find the same place again. Everybody can choose keys that meet.
    ///
    /// `None` also when the part is there but empty, since all that have nothing to show do not belong together.
    pub fn stable_hash(&self, parts: KeyParts<'_>, ipv6_prefix: u8) -> Option<u64> {
        match self.part_of(parts, ipv6_prefix)? {
            KeyPart::Client(client) => Some(XxHash3_64::oneshot(&client.as_u128().to_be_bytes())),
            KeyPart::Text([]) => None,
            KeyPart::Text(text) => Some(XxHash3_64::oneshot(text)),
        }
    }

    /// The request's key as bytes that are the same in every process, on every machine and in every version (the first
    /// half of SHA-256), for what several processes count together. Nobody can choose keys that meet. `None` when the
    /// request has no such header, cookie or parameter.
    pub fn digest(&self, parts: KeyParts<'_>, ipv6_prefix: u8) -> Option<[u8; 16]> {
        let digest = match self.part_of(parts, ipv6_prefix)? {
            KeyPart::Client(client) => digest(&SHA256, &client.as_u128().to_be_bytes()),
            KeyPart::Text(text) => digest(&SHA256, text),
        };
        digest.as_ref().first_chunk().copied()
    }

    fn part_of<'a>(&self, parts: KeyParts<'a>, ipv6_prefix: u8) -> Option<KeyPart<'a>> {
        let text = match self {
            Self::ClientIp => return Some(KeyPart::Client(client_key(parts.client_ip, ipv6_prefix))),
            Self::Host => parts.host.as_bytes(),
            Self::Path => parts.path.as_bytes(),
            Self::Header(name) => parts.headers.get(name)?.as_bytes(),
            Self::Cookie(name) => cookie(parts.headers, name)?.as_bytes(),
            Self::Query(name) => parameter(parts.query?, name)?.as_bytes(),
            Self::Var(name) => parts.variables.get(name.as_str())?,
        };
        Some(KeyPart::Text(text))
    }
}

/// Two rounds that differ in their first byte give 128 bits, so that two keys never meet by chance.
fn wide(state: &impl BuildHasher, key: impl Hash) -> u128 {
    let round = |number: u8| u128::from(state.hash_one((number, &key)));
    round(0) << 64 | round(1)
}

/// The value of the first parameter of that name; empty when it has no `=`.
fn parameter<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.into_iter().find_map(|(key, value)| (key == name).then_some(value))
}

#[cfg(test)]
mod tests {
    use std::hash::RandomState;

    use tokio::time::Instant;

    use super::*;
    use crate::hooks::testing::Exchange;

    fn read(yaml: &str) -> KeySpec {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn exchange(target: &str) -> Exchange {
        Exchange::get(target, Instant::now())
    }

    #[test]
    fn requests_with_equal_parts_share_a_key() {
        let state = RandomState::new();
        let key = |spec: &str, mut exchange: Exchange| {
            let spec = read(spec);
            exchange.with_request(|request, cx| spec.hash(KeyParts::of(request, cx), 64, &state))
        };
        let from = |ip: &str| exchange("/").from_client(ip.parse().unwrap());
        assert_eq!(key("client_ip", from("2001:db8::1")), key("client_ip", from("2001:db8::2")));
        assert_ne!(key("client_ip", from("10.0.0.1")), key("client_ip", from("10.0.0.2")));
        assert_ne!(key("path", exchange("/a")), key("path", exchange("/b")));
        let user = |name: &str| exchange("/").with_header("x-user", name);
        assert_eq!(key("{ header: X-User }", user("a")), key("{ header: X-User }", user("a")));
        assert_ne!(key("{ header: X-User }", user("a")), key("{ header: X-User }", user("b")));
        assert_eq!(
            key("{ query: id }", exchange("/?a=1&id=7")),
            key("{ query: id }", exchange("/x?id=7&id=8"))
        );
        assert!(key("{ query: id }", exchange("/?id")).is_some());
        let sid = |cookie: &str| key("{ cookie: sid }", exchange("/").with_header("cookie", cookie));
        assert_eq!(sid("a=b; sid=7"), sid("sid=7"));
    }

    #[test]
    fn a_request_without_the_part_has_no_key() {
        for spec in ["{ header: X-User }", "{ cookie: sid }", "{ query: id }"] {
            let spec = read(spec);
            let hash = |mut exchange: Exchange| {
                exchange.with_request(|request, cx| {
                    let parts = KeyParts::of(request, cx);
                    (spec.hash(parts, 64, &RandomState::new()), spec.stable_hash(parts, 64))
                })
            };
            assert_eq!(hash(exchange("/?x=id")), (None, None), "{spec}");
            let empty = exchange("/?id").with_header("x-user", "").with_header("cookie", "sid=");
            let (hash, stable) = hash(empty);
            assert!(hash.is_some() && stable.is_none(), "{spec}");
        }
    }

    #[test]
    fn stable_hashes_never_change() {
        let hash = |spec: &str, mut exchange: Exchange| {
            exchange
                .with_request(|request, cx| read(spec).stable_hash(KeyParts::of(request, cx), 64).unwrap())
        };
        // A test vector of XXH3.
        assert_eq!(
            hash("{ header: X-User }", exchange("/").with_header("x-user", "abc")),
            0x78af_5f94_892f_3950
        );
        let from = |ip: &str| exchange("/").from_client(ip.parse().unwrap());
        assert_eq!(hash("client_ip", from("10.0.0.1")), 0x3356_a62b_2a5b_0ef8);
        assert_eq!(hash("client_ip", from("2001:db8::1")), hash("client_ip", from("2001:db8::2")));
    }
}
