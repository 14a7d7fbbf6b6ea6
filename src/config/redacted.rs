//! A configuration as it may be shown to everybody who may look.

use serde_yaml::{Mapping, Value};

use super::node::{Kind, Node, Scalar};
use super::secrecy::{HIDDEN, is_secret, shown};
use super::secret_keys::{Described, SecretKeys};
use super::{KeyPath, Origin, Segment};

impl Origin {
    /// The text, with all that it includes and without comments, in which secrets are left out. `None` where it cannot be
    /// read any more.
    pub(crate) fn redacted(&self) -> Option<String> {
        let loaded = self.read().ok()?;
        let keys = SecretKeys::of_file();
        serde_yaml::to_string(&redacted(loaded.source.root(), &KeyPath::default(), &keys.root())).ok()
    }
}

/// What the schema knows to be secret is, and what is called so: filters and headers are not in the schema.
fn redacted(node: &Node, at: &KeyPath, described: &Described<'_>) -> Value {
    let inside = |inner: &Node, step: Segment| redacted(inner, &at.join(step.clone()), &described.at(&step));
    match node {
        Node::Scalar(scalar) if scalar.kind != Kind::Null && (described.is_secret() || is_secret(at)) => {
            HIDDEN.into()
        }
        Node::Scalar(Scalar { kind: Kind::Text, text }) => shown(at, text).as_ref().into(),
        Node::Scalar(scalar) => number(scalar),
        Node::List(items) => {
            let items = items.iter().enumerate().map(|(index, item)| inside(item, Segment::Index(index)));
            Value::Sequence(items.collect())
        }
        Node::Map(entries) => {
            let entry = |(key, value): &(String, Node)| {
                (Value::from(key.as_str()), inside(value, Segment::Key(key.clone())))
            };
            Value::Mapping(entries.iter().map(entry).collect::<Mapping>())
        }
        Node::Removed => Value::Null,
    }
}

/// What is no text; where it would not read the same, it is one: `1.10` may be meant as it stands there.
fn number(scalar: &Scalar) -> Value {
    let number = match scalar.kind {
        Kind::Bool(truth) => truth.into(),
        Kind::Unsigned(number) => number.into(),
        Kind::Signed(number) => number.into(),
        Kind::Float(number) => number.into(),
        Kind::Null | Kind::Text => return Value::Null,
    };
    let reads_the_same = serde_yaml::to_string(&number).is_ok_and(|text| text.trim_end() == scalar.text);
    if reads_the_same { number } else { scalar.text.as_str().into() }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::config::text_with;

    use super::*;

    /// Settings of filters and texts that hold secrets, and some keys of the schema.
    const TEXT: &str = "server:
  stores:
    shared: { address: 127.0.0.1:6379, user: edge, password: SECRET-1 }
listeners: { web: { bind: 127.0.0.1:0 } } # SECRET-2
pools:
  app:
    endpoints: [127.0.0.1:9001]
    sticky: { secret: SECRET-3-0123456789 }
    health: { http: { path: /up?key=SECRET-15, headers: { Authorization: Bearer SECRET-4, X-Note: Basic SECRET-5 } } }
  web:
    endpoints: [127.0.0.1:9002]
    health: { http: { path: /up, headers: { Cookie: a=SECRET-16 } } }
routes:
  - name: all
    match: { headers: { X-Api-Key: SECRET-6, DPoP: SECRET-17 }, query: { access_token: SECRET-7, code: SECRET-18 }, cookies: { session: SECRET-19, canary: always } }
    pool: app
    filters:
      - api_key: { keys: { shop: SECRET-8-0123456789, other: { sha256: SECRET-9 } } }
      - basic_auth: { passwords: { alice: $2y$10$SECRET-10 } }
      - jwt: { algorithms: HS256, issuer: https://id.example, secret: SECRET-11-012345678901234567890123 }
      - cache: { purge: { token: { file: SECRET-12 } } }
      - request_headers: { set: { X-Auth-Token: SECRET-13, Cookie: a=SECRET-20, X-Client: '{client_ip}' } }
      - response_headers: { add: { Set-Cookie: a=SECRET-21 } }
      - forward_auth: { url: 'http://user:SECRET-14@auth.example:80/check' }
  - { name: old, match: { path: /old }, redirect: { to: 'https://user:SECRET-22@new.example{path}?key=SECRET-23&from={path}' } }
tracing: { to: 'https://c.example:4318/v1/traces?key=SECRET-24' }
";

    #[test]
    fn no_secret_is_shown() {
        let text = Origin::test(TEXT).redacted().unwrap();
        assert!(!text.contains("SECRET"), "{text}");
        for shown in [
            "user: edge",
            "X-Client: '{client_ip}'",
            "X-Note: Basic …",
            "issuer: https://id.example",
            "http://…@auth.example:80/check",
            "path: /up?key=…",
            "canary: always",
            "https://…@new.example{path}?key=…&from={path}",
            "https://c.example:4318/v1/traces?key=…",
        ] {
            assert!(text.contains(shown), "{shown}: {text}");
        }
    }

    #[test]
    fn nothing_is_shown_that_the_schema_calls_a_secret() {
        let all = SecretKeys::of_file().all();
        assert!(all.len() >= 5, "{all:?}");
        for at in all {
            for secret in [json!("SECRET"), json!({ "file": "SECRET" })] {
                let text = Origin::test(text_with(&at, secret)).redacted().unwrap();
                assert!(!text.contains("SECRET") && text.contains(HIDDEN), "{at}: {text}");
            }
        }
    }

    #[test]
    fn what_is_shown_reads_as_it_was() {
        let text = "listeners:
  web:
    bind: 127.0.0.1:0
pools:
  app:
    endpoints:
    - address: 127.0.0.1:9001
      weight: 3
routes:
- match:
    query:
      version: '1.10'
    headers:
      X-A: 'true'
  pool: app
";
        assert_eq!(Origin::test(text).redacted().unwrap(), text);
    }
}
