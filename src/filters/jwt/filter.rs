use std::borrow::Cow;
use std::fmt;
use std::time::SystemTime;

use async_trait::async_trait;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, StatusCode};

use crate::config::spec::{HeaderNameSpec, NamedMap, OneOrMany};
use crate::filters::CredentialSource;
use crate::filters::headers::{FieldName, Side, changeable, strip_claims};
use crate::filters::shown::{Shown, check_sources, credentials, is_shown_in, shown, strip};
use crate::hooks::{
    BuildCx, BuildError, Credential, Filter, FilterCx, Flow, HookError, Rejection, RequestView,
};
use crate::types::VarName;

use super::claims::{Rules, as_text};
use super::json::Object;
use super::refusal::Refusal;
use super::source::{KeySource, Unverified};
use super::token::Token;
use super::{JwtAlgorithm, JwtSettings};

/// The filter `jwt`.
///
/// A request without a token gets 401 with the cause `unauthorized`, one with a token that is not taken `jwt_invalid` or
/// `jwt_expired`. Where there is no key to verify tokens with, since their server has never answered, it gets 503 with
/// `jwt_keys_unavailable`.
pub struct Jwt {
    algorithms: Vec<JwtAlgorithm>,
    /// In lower case; all, if there are none.
    kinds: Vec<String>,
    keys: KeySource,
    rules: Rules,
    sources: Vec<CredentialSource>,
    headers: Vec<HeaderName>,
    /// What claims those headers have.
    header_claims: Vec<String>,
    variables: Vec<(VarName, String)>,
    forward: bool,
}

/// What a variable can have.
const LONGEST_VARIABLE: usize = 4096;
/// RFC 6750 §3.
const CHALLENGE: HeaderValue = HeaderValue::from_static("Bearer");
const INVALID_TOKEN: HeaderValue = HeaderValue::from_static("Bearer error=\"invalid_token\"");

impl Jwt {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When the algorithms do not go together or with the keys, the keys cannot be had, `leeway` is more than 5m, or a header of
    /// `to_headers` is one that filters may not set, or one of `from`.
    pub fn build(settings: JwtSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let leeway = settings.checked_leeway()?;
        let JwtSettings { algorithms, keys, issuer, audience, typ, require, from, forward, .. } = settings;
        let sources: Vec<_> = from.unwrap_or_else(default_source).into_iter().collect();
        check_sources(&sources)?;
        let headers = header_names(&settings.to_headers, &sources).map_err(|error| error.at("to_headers"))?;
        let algorithms: Vec<_> = algorithms.into_iter().collect();
        let keys = KeySource::build(&keys, &algorithms, cx)?;
        let list =
            |given: Option<OneOrMany<String>>| given.map_or(Vec::new(), |given| given.into_iter().collect());
        let rules = Rules { issuers: list(issuer), audiences: list(audience), required: require, leeway };
        let variables = match settings.to_vars {
            Some(given) => given.into_iter().collect(),
            None => vec![("jwt.sub".parse().map_err(BuildError::new)?, "sub".to_owned())],
        };
        Ok(Self {
            kinds: list(typ).iter().map(|kind| kind_of(kind)).collect::<Result<_, _>>()?,
            header_claims: settings.to_headers.into_iter().map(|(_, claim)| claim).collect(),
            algorithms,
            keys,
            rules,
            sources,
            headers,
            variables,
            forward,
        })
    }

    /// The claims of a token that is taken, as the bytes that they are written in.
    async fn claims(&self, token: &[u8], cx: &FilterCx<'_>) -> Result<Vec<u8>, Unverified> {
        let token = Token::parse(token).map_err(Unverified::Refused)?;
        // Before any key is looked for: what a token says of itself chooses among what is allowed.
        if !self.algorithms.contains(&token.algorithm) {
            return Err(Unverified::Refused(Refusal::Algorithm));
        }
        if !self.kinds.is_empty() && !token.is_one_of(&self.kinds) {
            return Err(Unverified::Refused(Refusal::Kind));
        }
        self.keys.verify(&token, cx.now()).await?;
        token.payload().map_err(Unverified::Refused)
    }

    /// Tells endpoints and later filters what the claims say.
    fn tell(
        &self,
        claims: &Object<'_>,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        let text = |claim: &str| claims.get(claim).and_then(as_text);
        for (name, claim) in self.headers.iter().zip(&self.header_claims) {
            if let Some(value) = text(claim).and_then(|text| HeaderValue::from_bytes(text.as_bytes()).ok()) {
                request.set_header(name.clone(), value)?;
            }
        }
        for (name, claim) in &self.variables {
            if let Some(value) = text(claim).filter(|text| text.len() <= LONGEST_VARIABLE) {
                cx.set_var(name, Cow::into_owned(value))?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Filter for Jwt {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        let shown = shown(&self.sources, request, <[u8]>::to_vec);
        if !self.forward {
            // Of refused requests too: their targets go into the log.
            strip(&self.sources, request)?;
        }
        strip_claims(&self.headers, request);
        let token = match shown {
            Shown::One(token) if !token.is_empty() => token,
            Shown::Nothing | Shown::One(_) => return Ok(unauthorized("unauthorized", CHALLENGE)),
            Shown::Several => return Ok(unauthorized("jwt_invalid", INVALID_TOKEN)),
        };
        let payload = match self.claims(&token, cx).await {
            Ok(payload) => payload,
            Err(reason) => return Ok(refused(reason)),
        };
        let Ok(claims) = Object::parse(&payload) else {
            return Ok(refused(Unverified::Refused(Refusal::Malformed("its claims are no JSON object"))));
        };
        if let Err(reason) = self.rules.check(&claims, SystemTime::now()) {
            return Ok(refused(Unverified::Refused(reason)));
        }
        cx.mark_personal();
        self.tell(&claims, request, cx)?;
        Ok(Flow::Continue)
    }

    fn credentials(&self) -> Vec<Credential> {
        credentials(&self.sources)
    }

    fn describe(&self) -> String {
        let names: Vec<_> = self.algorithms.iter().map(ToString::to_string).collect();
        let places: Vec<_> = self.sources.iter().map(ToString::to_string).collect();
        format!("{} by {}, in {}", names.join(", "), self.keys, places.join(" or "))
    }
}

impl fmt::Debug for Jwt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwt")
            .field("algorithms", &self.algorithms)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

fn default_source() -> OneOrMany<CredentialSource> {
    OneOrMany::from(CredentialSource::Header(HeaderNameSpec(AUTHORIZATION)))
}

fn header_names(
    to_headers: &NamedMap<FieldName, String>,
    sources: &[CredentialSource],
) -> Result<Vec<HeaderName>, BuildError> {
    let checked = to_headers.iter().map(|(name, _)| {
        let header = changeable(Side::Request, name).map_err(|error| error.at(name))?;
        if is_shown_in(sources, &header) {
            return Err(BuildError::new("the token would be replaced by a claim").at(name));
        }
        Ok(header)
    });
    checked.collect()
}

fn refused(reason: Unverified) -> Flow {
    match reason {
        Unverified::NoKeys => Rejection::new(StatusCode::SERVICE_UNAVAILABLE, "jwt_keys_unavailable").into(),
        Unverified::Refused(reason) => {
            log::debug!("token is not taken reason={:?}", reason.to_string());
            let cause = if reason == Refusal::Expired { "jwt_expired" } else { "jwt_invalid" };
            unauthorized(cause, INVALID_TOKEN)
        }
    }
}

fn unauthorized(cause: &'static str, challenge: HeaderValue) -> Flow {
    Rejection::new(StatusCode::UNAUTHORIZED, cause).with_header(WWW_AUTHENTICATE, challenge).into()
}

/// A type as tokens are compared with it: lower case, without `application/` (RFC 7515 §4.1.9).
fn kind_of(typ: &str) -> Result<String, BuildError> {
    let kind = typ.to_ascii_lowercase();
    let kind = kind.strip_prefix("application/").unwrap_or(&kind);
    if kind.is_empty() {
        return Err(BuildError::new("no token has an empty type").at("typ"));
    }
    Ok(kind.to_owned())
}

#[cfg(test)]
mod tests;
