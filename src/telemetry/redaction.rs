mod client;
mod mark;
mod target;
mod text;
mod user;

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use foldhash::fast::RandomState;
use http::HeaderName;

use crate::config::spec::{ClientShown, ParameterName, RedactSpec};
use crate::types::PlainName;

use client::{network, tells_client};

/// What stands for a value that is not written.
pub(super) const HIDDEN: &[u8] = b"***";

/// Names as they are compared.
type Names = HashSet<Box<[u8]>, RandomState>;

/// What is told of requests as [`HIDDEN`], by lines, recordings and spans alike, and how much lines tell of clients' addresses.
#[derive(Debug)]
pub(crate) struct Redaction {
    /// Parameters besides those that are known as credentials.
    parameters: Names,
    /// Those that are known as such, and written all the same.
    except: Names,
    headers: BTreeSet<String>,
    client: ClientShown,
}

impl Redaction {
    pub(crate) fn new(spec: &RedactSpec, client: ClientShown) -> Self {
        Self {
            parameters: names(&spec.query),
            except: names(&spec.except),
            headers: spec.headers.iter().map(|name| name.0.as_str().to_owned()).collect(),
            client,
        }
    }

    /// Whether the header's value is not written.
    pub(super) fn hides(&self, header: &HeaderName) -> bool {
        let name = PlainName::of(header.as_str().as_bytes());
        self.headers.contains(header.as_str())
            || name.is_credential_header()
            || (self.client != ClientShown::Full && tells_client(&name))
    }

    /// What is written of a client's address.
    pub(super) fn client(&self, address: IpAddr) -> Option<IpAddr> {
        match self.client {
            ClientShown::Full => Some(address),
            ClientShown::Prefix => Some(network(address)),
            ClientShown::Off => None,
        }
    }

    /// Whether the value of the parameter is not written.
    fn hides_parameter(&self, name: &PlainName) -> bool {
        let is_in = |names: &Names| name.whole().is_some_and(|whole| names.contains(whole));
        is_in(&self.parameters) || (name.is_credential() && !is_in(&self.except))
    }
}

fn names(names: &[ParameterName]) -> Names {
    let plain = names.iter().map(|name| PlainName::of(name.as_str().as_bytes()));
    plain.filter_map(|name| name.whole().map(Box::from)).collect()
}

#[cfg(test)]
mod tests {
    use crate::types::{ANYWHERE, CREDENTIAL_HEADERS, CREDENTIALS, ENDINGS};

    use super::*;

    fn parameters(names: &[&str]) -> Vec<ParameterName> {
        names.iter().map(|name| name.parse().unwrap()).collect()
    }

    #[test]
    fn the_documentation_lists_them_all() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/logging.md");
        let text = std::fs::read_to_string(file).unwrap();
        let told: Vec<_> = text.split('`').map(|part| PlainName::of(part.as_bytes())).collect();
        for name in CREDENTIALS
            .iter()
            .chain(&ENDINGS)
            .chain(&ANYWHERE)
            .chain(&CREDENTIAL_HEADERS)
            .chain(&client::ENDINGS)
        {
            assert!(told.iter().any(|part| part.whole() == Some(name.as_bytes())), "{name}");
        }
    }

    #[test]
    fn names_can_be_added_and_taken_out() {
        let spec = RedactSpec {
            query: parameters(&["Pin", "my_key"]),
            except: parameters(&["code", "page-token"]),
            headers: vec!["X-Tenant".parse().unwrap()],
        };
        let redaction = Redaction::new(&spec, ClientShown::Full);
        assert_eq!(*redaction.text(b"/a?pin=1&code=2&token=3"), *b"/a?pin=***&code=2&token=***");
        assert_eq!(
            *redaction.text(b"/a?myKey=1&page_token=2&token=3"),
            *b"/a?myKey=***&page_token=2&token=***"
        );
        let hides = |name: &'static str| redaction.hides(&HeaderName::from_static(name));
        assert!(hides("authorization") && hides("x-tenant") && !hides("referer"));
    }

    #[test]
    fn an_address_is_whole_or_a_network_or_nothing() {
        let of = |client, address: &str| {
            let redaction = Redaction::new(&RedactSpec::default(), client);
            (
                redaction.client(address.parse().unwrap()).map(|address| address.to_string()),
                redaction.hides(&HeaderName::from_static("x-envoy-external-address")),
            )
        };
        assert_eq!(of(ClientShown::Full, "192.0.2.77"), (Some("192.0.2.77".to_owned()), false));
        assert_eq!(of(ClientShown::Prefix, "192.0.2.77"), (Some("192.0.2.0".to_owned()), true));
        assert_eq!(of(ClientShown::Prefix, "2001:db8:1:2::3"), (Some("2001:db8:1::".to_owned()), true));
        assert_eq!(of(ClientShown::Off, "192.0.2.77"), (None, true));
    }
}
