use std::fmt;
use std::path::Path;

use async_trait::async_trait;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderName, HeaderValue, StatusCode};

use crate::config::spec::{HeaderNameSpec, NamedMap, OneOrMany};
use crate::filters::CredentialSource;
use crate::filters::headers::{Side, changeable, strip_claims};
use crate::filters::shown::{Shown, check_sources, credentials, is_shown_in, shown, strip};
use crate::hooks::{
    BuildCx, BuildError, Credential, Filter, FilterCx, Flow, HookError, Rejection, RequestView, Watched,
};
use crate::types::{ConsumerName, Digest, VarName};

use super::keys::{Keys, read_file};
use super::{ApiKeySettings, ApiKeySpec};

/// The filter `api_key`.
///
/// A request without a key that is known, or with several that differ, gets 401 with the cause `unauthorized`.
pub struct ApiKey {
    sources: Vec<CredentialSource>,
    keys: Keys,
    listed: Option<Watched<Keys>>,
    consumer_header: HeaderName,
    consumer_var: VarName,
    forward: bool,
}

/// Fewer bytes could be guessed.
const SHORTEST: usize = 16;
/// Under which later filters find the consumer's name.
const CONSUMER_VAR: &str = "api_key.name";
/// RFC 9110 §11.6.1 wants one; browsers ask nobody for such a thing.
const CHALLENGE: HeaderValue = HeaderValue::from_static("ApiKey");

impl ApiKey {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When there is no key, one cannot be read, is short or belongs to two consumers, or `consumer_header` is one that
    /// filters may not set, or one of `from`.
    pub fn build(settings: ApiKeySettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let ApiKeySettings { from, keys, file, consumer_header, forward } = settings;
        if keys.is_empty() && file.is_none() {
            return Err(BuildError::new("no keys; write `keys`, or a `file` of them"));
        }
        let default = || {
            OneOrMany::from(CredentialSource::Header(HeaderNameSpec(HeaderName::from_static("x-api-key"))))
        };
        let sources: Vec<_> = from.unwrap_or_else(default).into_iter().collect();
        let consumer_header = changeable(Side::Request, &consumer_header);
        let consumer_header = consumer_header.map_err(|error| error.at("consumer_header"))?;
        check_sources(&sources)?;
        if is_shown_in(&sources, &consumer_header) {
            let error = BuildError::new("the key would be replaced by the name of its consumer");
            return Err(error.at("consumer_header"));
        }
        let keys = read_keys(keys, &cx.path(Path::new("")))?;
        let listed = file.as_deref().map(|path| cx.watch_file(path, read_file)).transpose();
        let listed = listed.map_err(|error| error.at("file"))?;
        if listed.as_ref().is_some_and(|listed| listed.get().len() == 0) {
            cx.warn("the `file` has no key, so that it lets nobody in");
        }
        let consumer_var = CONSUMER_VAR.parse().map_err(BuildError::new)?;
        Ok(Self { sources, keys, listed, consumer_header, consumer_var, forward })
    }

    fn consumer(&self, shown: Shown<Digest>) -> Option<HeaderValue> {
        let Shown::One(key) = shown else { return None };
        let listed = || self.listed.as_ref()?.get().consumer(&key).cloned();
        self.keys.consumer(&key).cloned().or_else(listed)
    }
}

#[async_trait]
impl Filter for ApiKey {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        let shown = shown(&self.sources, request, Digest::of);
        if !self.forward {
            // Of refused requests too: their targets go into the log.
            strip(&self.sources, request)?;
        }
        strip_claims(std::slice::from_ref(&self.consumer_header), request);
        match self.consumer(shown) {
            Some(consumer) => {
                cx.mark_personal();
                cx.set_var(&self.consumer_var, consumer.as_bytes().to_vec())?;
                request.set_header(self.consumer_header.clone(), consumer)?;
                Ok(Flow::Continue)
            }
            None => {
                let refusal = Rejection::new(StatusCode::UNAUTHORIZED, "unauthorized");
                Ok(refusal.with_header(WWW_AUTHENTICATE, CHALLENGE).into())
            }
        }
    }

    fn credentials(&self) -> Vec<Credential> {
        credentials(&self.sources)
    }

    fn describe(&self) -> String {
        let places: Vec<_> = self.sources.iter().map(ToString::to_string).collect();
        let count = self.keys.len() + self.listed.as_ref().map_or(0, |listed| listed.get().len());
        format!("{count} keys in {}", places.join(" or "))
    }
}

impl fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKey").field("sources", &self.sources).finish_non_exhaustive()
    }
}

fn read_keys(
    by_consumer: NamedMap<ConsumerName, OneOrMany<ApiKeySpec>>,
    base: &Path,
) -> Result<Keys, BuildError> {
    let mut keys = Keys::default();
    for (consumer, theirs) in by_consumer {
        for (index, key) in theirs.as_slice().iter().enumerate() {
            let added = digest(key, base).and_then(|digest| keys.add(&consumer, digest));
            added.map_err(|problem| BuildError::new(problem).at(index).at(&consumer).at("keys"))?;
        }
    }
    Ok(keys)
}

fn digest(key: &ApiKeySpec, base: &Path) -> Result<Digest, String> {
    match key {
        ApiKeySpec::Sha256(digest) => Ok(*digest),
        ApiKeySpec::Secret(secret) => match secret.read(base)? {
            key if key.len() >= SHORTEST => Ok(Digest::of(&key)),
            key => Err(format!("the key has {} bytes; {SHORTEST} or more are needed", key.len())),
        },
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::hooks::testing::{self, Exchange};

    fn build(yaml: &str) -> Result<ApiKey, BuildError> {
        testing::build(serde_yaml::from_str(yaml).unwrap(), ApiKey::build)
    }

    const KEYS: &str = "keys: { acme: [acme-key-0123456789, acme-key-9876543210], \
                        globex: { sha256: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b } }";

    /// Who the endpoint is told that it is; nobody when the request was refused.
    async fn consumer(filter: &ApiKey, exchange: &mut Exchange) -> Option<String> {
        match exchange.on_request(filter).await.unwrap() {
            Flow::Continue => Some(exchange.request_headers()["x-consumer"].to_str().unwrap().to_owned()),
            Flow::Reject(rejection) => {
                assert_eq!((rejection.status.as_u16(), &*rejection.cause), (401, "unauthorized"));
                assert_eq!(rejection.headers, [(WWW_AUTHENTICATE, CHALLENGE)]);
                assert!(exchange.request_headers().get("x-consumer").is_none());
                None
            }
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn endpoints_are_told_whose_key_it_is_and_not_the_key() {
        let filter = build(&format!("{{ {KEYS} }}")).unwrap();
        for (key, expected) in [
            ("acme-key-0123456789", Some("acme")),
            ("acme-key-9876543210", Some("acme")),
            ("secret", Some("globex")),
            ("acme-key-0123456780", None),
            ("", None),
        ] {
            let exchange = Exchange::get("/", Instant::now()).with_header("x-api-key", key);
            let mut exchange = exchange.with_header("x-consumer", "root").with_header("x_consumer", "root");
            assert_eq!(consumer(&filter, &mut exchange).await.as_deref(), expected, "{key}");
            assert!(exchange.request_headers().get("x-api-key").is_none());
            assert!(exchange.request_headers().get("x_consumer").is_none());
        }
        assert_eq!(consumer(&filter, &mut Exchange::get("/", Instant::now())).await, None);
        assert_eq!(filter.describe(), "3 keys in header x-api-key");
    }

    #[tokio::test]
    async fn a_key_can_be_forwarded() {
        let filter = build(&format!("{{ {KEYS}, forward: true, from: [{{ query: k }}] }}")).unwrap();
        let mut exchange = Exchange::get("/?k=secret", Instant::now());
        assert_eq!(consumer(&filter, &mut exchange).await.as_deref(), Some("globex"));
        assert_eq!(exchange.target(), "/?k=secret");
    }

    #[test]
    fn keys_that_are_none_are_refused_at_their_place() {
        let other = "{ acme: { sha256: 2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b } }";
        let cases = [
            ("{}".to_owned(), &[][..], "no keys"),
            ("{ keys: { acme: short } }".to_owned(), &["keys", "acme", "0"], "5 bytes"),
            ("{ keys: { acme: '${EVENER_NO_SUCH}' } }".to_owned(), &["keys", "acme", "0"], "not set"),
            (
                "{ keys: { acme: [{ file: /nonexistent }] } }".to_owned(),
                &["keys", "acme", "0"],
                "cannot be read",
            ),
            ("{ file: /nonexistent }".to_owned(), &["file"], "No such file"),
            (
                format!("{{ keys: {other}, consumer_header: Host }}"),
                &["consumer_header"],
                "cannot be changed",
            ),
            (format!("{{ keys: {other}, consumer_header: x-api-key }}"), &["consumer_header"], "replaced"),
            (format!("{{ keys: {other}, from: [{{ query: '' }}] }}"), &["from", "0", "query"], "no name"),
            (
                format!("{{ keys: {other}, from: [{{ query: 'a%62' }}] }}"),
                &["from", "0", "query"],
                "`a%62` is no name of a parameter",
            ),
            (format!("{{ {KEYS}, file: /nonexistent }}"), &["file"], "No such file"),
        ];
        for (yaml, key, words) in cases {
            let (found, message, _) = build(&yaml).unwrap_err().into_parts();
            assert_eq!(found, key, "{yaml}");
            assert!(message.contains(words), "{message}");
        }
        let twice = "{ keys: { a: key-0123456789-key, b: key-0123456789-key } }";
        assert!(build(twice).unwrap_err().to_string().contains("that of `a` too"));
    }
}
