use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::spec::{NamedMap, OneOrMany, SecretSpec};
use crate::filters::{CredentialSource, FieldName};
use crate::hooks::BuildError;
use crate::types::{HttpUrl, PoolName, Span, VarName};

use super::JwtAlgorithm;

/// Lets in clients that show a token (a JWT of RFC 7519, signed) of an issuer, and tells endpoints what it says of them.
/// Others get 401.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwtSettings {
    /// How tokens may be signed: `HS256`, `HS384`, `HS512`; or of `RS256`, `RS384`, `RS512`, `PS256`, `PS384`, `PS512`, `ES256`,
    /// `ES384`, `ES512` and `EdDSA`; one, or a list. What a token says of it itself chooses among these only.
    pub algorithms: OneOrMany<JwtAlgorithm>,
    /// Whose signature counts.
    pub keys: JwtKeysSettings,
    /// Who may have issued tokens: the claim `iss`, exactly; one, or a list. Without it, everybody who has one of the keys.
    #[serde(default)]
    pub issuer: Option<OneOrMany<String>>,
    /// Whom tokens are for: one of these has to be in the claim `aud`; one, or a list. Without it, tokens with such a claim are
    /// refused, since they are for somebody else.
    #[serde(default)]
    pub audience: Option<OneOrMany<String>>,
    /// Which types of tokens are taken, by the `typ` of their headers: `at+jwt`, say, so that nobody shows a token that is for
    /// something else; one, or a list. Without it, all.
    #[serde(default)]
    pub typ: Option<OneOrMany<String>>,
    /// How far clocks may differ: so long after `exp` and before `nbf` tokens are still taken, 0s to 5m.
    #[serde(default = "JwtSettings::default_leeway")]
    pub leeway: Span,
    /// Which claims a token has to have. Default: `[exp]`.
    #[serde(default = "JwtSettings::default_require")]
    pub require: Vec<String>,
    /// Where clients may show the token: `{ header: NAME }`, `{ query: NAME }` or `{ cookie: NAME }`; one, or a list. In
    /// `Authorization` it stands after `Bearer`. A token in a query gets into the logs of others, and into browsers' histories.
    /// Default: `{ header: Authorization }`.
    #[serde(default)]
    pub from: Option<OneOrMany<CredentialSource>>,
    /// Request headers in which endpoints are told what claims say, `X-User: sub`; what clients say there is dropped. Of lists,
    /// the items with commas between. Claims that are missing, or are objects, leave no header.
    #[serde(default)]
    pub to_headers: NamedMap<FieldName, String>,
    /// Variables that are set to what claims say, for filters after this one. Default: `{ jwt.sub: sub }`.
    #[serde(default)]
    pub to_vars: Option<NamedMap<VarName, String>>,
    /// Whether endpoints get the token too.
    #[serde(default)]
    pub forward: bool,
}

/// Exactly one of these keys.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JwtKeysSettings {
    /// A secret that the issuer has too, for the algorithms `HS…`, as long as their hashes or longer (32, 48, 64 bytes):
    /// `${NAME}`, `{ file: PATH }`, or the text itself.
    pub secret: Option<SecretSpec>,
    /// A file with a JWK set (RFC 7517); when it changes, it is read again within seconds.
    pub file: Option<PathBuf>,
    /// A JWK set that a server has.
    pub jwks: Option<JwksSettings>,
}

/// Where a JWK set is had from, and how often.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct JwksSettings {
    /// The pool that has it, with all that it says of TLS, health and timeouts. Exactly one of `pool` and `url` is to be there.
    #[serde(default)]
    pub pool: Option<PoolName>,
    /// Its path in the pool, and query: `/.well-known/jwks.json`.
    #[serde(default)]
    pub path: Option<String>,
    /// The `Host` to ask for in the pool. Default: the pool's `tls.sni`, else the endpoint's address.
    #[serde(default)]
    pub host: Option<String>,
    /// Its URL. The name in it is looked up for each fetch, and its addresses are tried in turn; redirects are not followed.
    #[serde(default)]
    pub url: Option<HttpUrl>,
    /// The authorities that may vouch for the server of an `https:` URL, in PEM; read again when it changes. Default: those that
    /// this machine trusts.
    #[serde(default)]
    pub ca: Option<PathBuf>,
    /// Whether the URL may be an `http:` one although its server is on another machine: whoever is on the way then says which
    /// keys count.
    #[serde(default)]
    pub cleartext: bool,
    /// How often it is fetched, 1m to 24h.
    #[serde(default = "JwksSettings::default_refresh")]
    pub refresh: Span,
    /// When a token names a key that is not there, it is fetched too, but not sooner after the last time than this, 1s to 1h.
    #[serde(default = "JwksSettings::default_min_refresh")]
    pub min_refresh: Span,
    /// How long a fetch takes at most, and a request waits for it, 100ms to 10s.
    #[serde(default = "JwksSettings::default_timeout")]
    pub timeout: Span,
    /// How long a set counts after it was fetched, where no newer one can be had: twice `refresh` to 30days. Tokens are refused
    /// with 503 after that. Default: 24h, or twice `refresh` where that is longer.
    #[serde(default)]
    pub max_age: Option<Span>,
}

/// Where the settings do not say.
const LONGEST_AGE: Duration = Duration::from_secs(24 * 3600);

impl JwtSettings {
    const fn default_leeway() -> Span {
        Span::from_secs(60)
    }

    fn default_require() -> Vec<String> {
        vec!["exp".to_owned()]
    }

    pub(super) fn checked_leeway(&self) -> Result<Duration, BuildError> {
        within(self.leeway, Span::from_secs(0), Span::from_secs(300)).map_err(|error| error.at("leeway"))
    }
}

impl JwksSettings {
    const fn default_refresh() -> Span {
        Span::from_secs(3600)
    }

    const fn default_min_refresh() -> Span {
        Span::from_secs(30)
    }

    const fn default_timeout() -> Span {
        Span::from_secs(2)
    }

    pub(super) fn longest_age(&self) -> Duration {
        match self.max_age {
            Some(max_age) => max_age.get(),
            None => LONGEST_AGE.max(self.refresh.get() * 2),
        }
    }

    pub(super) fn check(&self) -> Result<(), BuildError> {
        let hour = Span::from_secs(3600);
        let spans = [
            ("refresh", self.refresh, Span::from_secs(60), Span::from_secs(24 * 3600)),
            ("min_refresh", self.min_refresh, Span::from_secs(1), hour),
            ("timeout", self.timeout, Span::from_millis(100), Span::from_secs(10)),
        ];
        for (key, span, least, most) in spans {
            within(span, least, most).map_err(|error| error.at(key))?;
        }
        if let Some(max_age) = self.max_age {
            let least = Span::from_secs(2 * self.refresh.get().as_secs());
            within(max_age, least, Span::from_secs(30 * 24 * 3600)).map_err(|error| error.at("max_age"))?;
        }
        if self.min_refresh > self.refresh {
            let error = BuildError::new(format!("it is longer than `refresh`, {}", self.refresh));
            return Err(error.at("min_refresh"));
        }
        Ok(())
    }
}

fn within(span: Span, least: Span, most: Span) -> Result<Duration, BuildError> {
    if span < least || span > most {
        return Err(BuildError::new(format!("`{span}`; {least} to {most} are allowed")));
    }
    Ok(span.get())
}
