//! A configuration as it may be shown to everybody who may look.

use regex::Regex;
use serde_yaml::{Mapping, Value};

use super::diff::is_secret;
use super::node::{Kind, Node, Scalar};
use super::{KeyPath, Origin};

/// What stands in the place of a secret.
const HIDDEN: &str = "…";

/// Secrets that stand in other texts: users and passwords of URLs, and what follows a scheme of `Authorization`.
const EMBEDDED: &str = r"(?i)(?P<before>://)[^/?#\s]*@|(?P<scheme>\b(?:bearer|basic|digest)\s+)\S.*";

/// What is looked for in texts.
struct Redaction {
    embedded: Regex,
}

impl Origin {
    /// The text, with all that it includes and without comments, in which secrets are left out. `None` where it cannot be
    /// read any more.
    pub(crate) fn redacted(&self) -> Option<String> {
        let loaded = self.read().ok()?;
        let redaction = Redaction { embedded: Regex::new(EMBEDDED).ok()? };
        serde_yaml::to_string(&redaction.of(loaded.source.root(), &KeyPath::default())).ok()
    }
}

impl Redaction {
    fn of(&self, node: &Node, at: &KeyPath) -> Value {
        match node {
            Node::Scalar(scalar) if scalar.kind != Kind::Null && is_secret(at) => HIDDEN.into(),
            Node::Scalar(Scalar { kind: Kind::Text, text }) => {
                self.embedded.replace_all(text, format!("${{before}}${{scheme}}{HIDDEN}")).as_ref().into()
            }
            Node::Scalar(scalar) => number(scalar),
            Node::List(items) => {
                let items = items.iter().enumerate().map(|(index, item)| self.of(item, &at.index(index)));
                Value::Sequence(items.collect())
            }
            Node::Map(entries) => {
                let entry = |(key, value): &(String, Node)| {
                    (Value::from(key.as_str()), self.of(value, &at.child(key.as_str())))
                };
                Value::Mapping(entries.iter().map(entry).collect::<Mapping>())
            }
            Node::Removed => Value::Null,
        }
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
    use super::*;

    /// Every key of the reference under which a secret may stand, and texts that hold some.
    const TEXT: &str = "server:
  stores:
    shared: { address: 127.0.0.1:6379, user: edge, password: SECRET-1 }
listeners: { web: { bind: 127.0.0.1:0 } } # SECRET-2
pools:
  app:
    endpoints: [127.0.0.1:9001]
    sticky: { secret: SECRET-3-0123456789 }
    health: { http: { path: /up, headers: { Authorization: Bearer SECRET-4, X-Note: Basic SECRET-5 } } }
routes:
  - name: all
    match: { headers: { X-Api-Key: SECRET-6 }, query: { access_token: SECRET-7 } }
    pool: app
    filters:
      - api_key: { keys: { shop: SECRET-8-0123456789, other: { sha256: SECRET-9 } } }
      - basic_auth: { passwords: { alice: $2y$10$SECRET-10 } }
      - jwt: { algorithms: HS256, issuer: https://id.example, secret: SECRET-11-012345678901234567890123 }
      - cache: { purge: { token: { file: SECRET-12 } } }
      - request_headers: { set: { X-Auth-Token: SECRET-13, X-Client: '{client_ip}' } }
      - forward_auth: { url: 'http://user:SECRET-14@auth.example:80/check' }
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
            "http://…auth.example:80/check",
        ] {
            assert!(text.contains(shown), "{shown}: {text}");
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
