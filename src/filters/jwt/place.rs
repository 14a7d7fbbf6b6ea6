use std::fmt;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, HOST};
use http::{HeaderValue, Request, StatusCode, Uri};

use crate::hooks::{Authorities, BuildCx, BuildError, FetchError, FetchLimits, Fetched, JobCx, Watched};
use crate::types::{HttpUrl, PoolName, shown_url};

use super::JwksSettings;
use super::keys::MOST_BYTES;

/// Where a key set is had from.
#[derive(Debug)]
pub(super) enum Place {
    Pool { pool: PoolName, path: Uri, host: Option<HeaderValue> },
    Url { url: HttpUrl, authorities: Option<Watched<Authorities>> },
}

impl Place {
    /// # Errors
    /// When the settings name none, or two, or one that keys cannot be had from.
    pub(super) fn build(settings: &JwksSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        match (&settings.pool, &settings.url) {
            (Some(pool), None) => Self::in_pool(pool, settings, cx),
            (None, Some(url)) => Self::at_url(url, settings, cx),
            _ => Err(BuildError::new("exactly one of `pool` and `url` has to be there")),
        }
    }

    fn in_pool(pool: &PoolName, settings: &JwksSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        cx.pool(pool.as_str()).map_err(|error| error.at("pool"))?;
        if settings.ca.is_some() {
            let error = BuildError::new("the `tls` of the pool says whom it trusts");
            return Err(error.at("ca"));
        }
        if settings.cleartext {
            return Err(BuildError::new("it is for a `url`").at("cleartext"));
        }
        let Some(path) = &settings.path else {
            return Err(BuildError::new("the `path` of the set in the pool is missing"));
        };
        let parsed: Option<http::uri::PathAndQuery> = path.parse().ok().filter(|_| path.starts_with('/'));
        let Some(parsed) = parsed else {
            return Err(
                BuildError::new(format!("`{}` is no path; one starts with `/`", shown_url(path))).at("path")
            );
        };
        let host = settings.host.as_deref().map(HeaderValue::from_str).transpose();
        let host = host.map_err(|_| BuildError::new("it cannot be a header's value").at("host"))?;
        Ok(Self::Pool { pool: pool.clone(), path: parsed.into(), host })
    }

    fn at_url(url: &HttpUrl, settings: &JwksSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        for (key, is_there) in [("path", settings.path.is_some()), ("host", settings.host.is_some())] {
            if is_there {
                return Err(BuildError::new("it stands in the `url`").at(key));
            }
        }
        if !url.is_tls() && !url.is_loopback() && !settings.cleartext {
            let error =
                BuildError::new("over `http:`, anybody on the way can put keys of their own into the set");
            return Err(error.with_help("write `https:`, or `cleartext: true` where nobody can").at("url"));
        }
        let authorities = match &settings.ca {
            Some(_) if !url.is_tls() => return Err(BuildError::new("it is for an `https:` URL").at("ca")),
            Some(ca) => Some(cx.watch_file(ca, Authorities::parse).map_err(|error| error.at("ca"))?),
            None => None,
        };
        Ok(Self::Url { url: url.clone(), authorities })
    }

    /// The bytes of the set as they are now.
    pub(super) async fn fetch(&self, limits: FetchLimits, cx: &JobCx) -> Result<Bytes, String> {
        let limits = FetchLimits { body: MOST_BYTES, ..limits };
        let answer = match self {
            Self::Pool { pool, path, host } => {
                let client = cx.client(pool).ok_or("there is no such pool any more")?;
                client.send(question(path, host.as_ref())?, limits).await
            }
            Self::Url { url, authorities } => {
                let authorities = authorities.as_ref().map(Watched::get);
                let question = question(url.uri(), None)?;
                cx.urls().fetch_url(question, authorities.as_deref(), limits).await
            }
        };
        body(answer)
    }
}

fn question(uri: &Uri, host: Option<&HeaderValue>) -> Result<Request<Bytes>, String> {
    let request = Request::get(uri).header(ACCEPT, "application/jwk-set+json, application/json");
    let request = host.into_iter().fold(request, |request, host| request.header(HOST, host));
    request.body(Bytes::new()).map_err(|error| error.to_string())
}

fn body(answer: Result<Fetched, FetchError>) -> Result<Bytes, String> {
    let answer = answer.map_err(|error| error.to_string())?;
    if answer.status != StatusCode::OK {
        return Err(format!("the answer is {}", answer.status));
    }
    if let Some(coding) = answer.headers.get(CONTENT_ENCODING) {
        return Err(format!("the answer is coded: {coding:?}"));
    }
    Ok(answer.body)
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pool { pool, path, .. } => write!(f, "{pool}{}", shown_url(&path.to_string())),
            Self::Url { url, .. } => f.write_str(&url.shown()),
        }
    }
}
