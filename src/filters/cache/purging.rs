use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{Digest, SHA256, digest};
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::{HeaderName, HeaderValue, Method, StatusCode};

use crate::cache::{Cache, Purge, Purged};
use crate::hooks::{Answer, BuildCx, BuildError, FilterCx, Flow, HookError, Rejection, RequestView};
use crate::types::Cidr;

use super::PurgeSettings;

/// Removes what is stored when somebody asks for that who may.
pub(super) struct Purging {
    cache: Arc<Cache>,
    method: Method,
    clients: Vec<Cidr>,
    /// Digests are compared, so that the time tells not even the token's length.
    token: Digest,
}

/// Fewer bytes could be guessed.
const SHORTEST: usize = 16;
const CACHE_TAG: HeaderName = HeaderName::from_static("cache-tag");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_PURGE: HeaderName = HeaderName::from_static("x-purge");

impl Purging {
    pub(super) fn build(
        settings: PurgeSettings,
        cache: Arc<Cache>,
        cx: &BuildCx<'_>,
    ) -> Result<Self, BuildError> {
        let PurgeSettings { method, clients, token } = settings;
        let method = method.0;
        let is_of_http =
            [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE, Method::OPTIONS]
                .contains(&method)
                || method == Method::PATCH;
        if is_of_http {
            let message = format!("`{method}` has a meaning of its own; choose another, like PURGE");
            return Err(BuildError::new(message).at("method"));
        }
        if clients.is_empty() {
            return Err(BuildError::new("nobody could ask; name the networks that may").at("clients"));
        }
        let token =
            token.read(&cx.path(Path::new(""))).map_err(|error| BuildError::new(error).at("token"))?;
        if token.len() < SHORTEST {
            let message = format!("the token has {} bytes; {SHORTEST} or more are needed", token.len());
            return Err(BuildError::new(message).at("token"));
        }
        Ok(Self { cache, method, clients, token: digest(&SHA256, &token) })
    }

    pub(super) fn is_asked_by(&self, request: &RequestView<'_>) -> bool {
        *request.method() == self.method
    }

    pub(super) async fn answer(
        &self,
        request: &RequestView<'_>,
        cx: &FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        let client = cx.facts().client_ip;
        if !self.clients.iter().any(|network| network.contains(client)) {
            return Ok(Rejection::new(StatusCode::FORBIDDEN, "forbidden").into());
        }
        if !self.is_shown_by(request) {
            let refusal = Rejection::new(StatusCode::UNAUTHORIZED, "unauthorized");
            return Ok(refusal.with_header(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer")).into());
        }
        let Some(purge) = meant(request, cx) else {
            return Ok(Rejection::new(StatusCode::BAD_REQUEST, "bad_purge").into());
        };
        let Purged { answers, is_complete } = Purged::from_all([&self.cache], &purge).await;
        let body = format!("{{\"removed\":{answers},\"complete\":{is_complete}}}\n");
        let answer = Answer::new(StatusCode::OK, body)
            .with_header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .with_header(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        Ok(answer.into())
    }

    /// Whether the request shows the token, once and nothing besides.
    fn is_shown_by(&self, request: &RequestView<'_>) -> bool {
        const SCHEME: &[u8] = b"bearer ";
        let mut fields = request.headers().get_all(AUTHORIZATION).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else { return false };
        let token = field
            .as_bytes()
            .split_at_checked(SCHEME.len())
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case(SCHEME));
        token.is_some_and(|(_, token)| {
            verify_slices_are_equal(digest(&SHA256, token).as_ref(), self.token.as_ref()).is_ok()
        })
    }
}

/// What is to be removed; `None` when that is not clear.
fn meant(request: &RequestView<'_>, cx: &FilterCx<'_>) -> Option<Purge> {
    let text = |name| {
        let mut fields = request.headers().get_all(name).iter();
        match (fields.next(), fields.next()) {
            (None, _) => Some(None),
            (Some(field), None) => field.to_str().ok().map(|field| Some(field.trim().to_owned())),
            _ => None,
        }
    };
    let told = [text(HOST)?, text(X_FORWARDED_HOST)?, text(X_FORWARDED_PROTO)?];
    let url = || {
        // As they are told to endpoints; whoever is not trusted has said nothing of that kind.
        let [host, told_host, told_scheme] = told.each_ref().map(Option::as_deref);
        let scheme = told_scheme.unwrap_or(cx.facts().scheme.as_str());
        let host = told_host.or(host).unwrap_or(request.host());
        let query = request.query().map(|query| format!("?{query}")).unwrap_or_default();
        format!("{scheme}://{host}{}{query}", request.path())
    };
    match (text(CACHE_TAG)?, text(X_PURGE)?.as_deref()) {
        (Some(tag), None) if !tag.is_empty() && !tag.contains([',', ' ']) => Some(Purge::Tag(tag)),
        (None, Some("prefix")) => Purge::prefix(&url()).ok(),
        (None, None) => Purge::url(&url()).ok(),
        _ => None,
    }
}

impl fmt::Debug for Purging {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Purging").field("method", &self.method).finish_non_exhaustive()
    }
}
