use std::fmt::Display;
use std::time::Duration;

use async_trait::async_trait;
use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use crate::filters::FieldName;
use crate::hooks::{
    Answer, BuildCx, BuildError, Filter, FilterCx, Flow, HookError, RequestView, ResponseView,
};

use super::{CorsSettings, OriginPattern};

/// The filter `cors`.
///
/// What an endpoint says of CORS itself is dropped, so that the two cannot contradict each other.
#[derive(Debug)]
pub struct Cors {
    origins: Vec<OriginPattern>,
    is_for_all: bool,
    credentials: bool,
    expose: Option<HeaderValue>,
    /// What preflight requests of allowed origins are told besides.
    preflight: Vec<(HeaderName, HeaderValue)>,
    description: String,
}

/// What the response to a request is to say, for as long as the request lasts: later filters may change its `Origin`.
#[derive(Clone, Debug)]
enum Verdict {
    Allowed(HeaderValue),
    /// Answered by this filter, in full.
    Preflight,
}

const LONGEST_MAX_AGE: Duration = Duration::from_secs(24 * 3600);
const ALLOW_ALL: HeaderValue = HeaderValue::from_static("*");
const TRUE: HeaderValue = HeaderValue::from_static("true");
const VARY_ORIGIN: HeaderValue = HeaderValue::from_static("Origin");

/// What endpoints may have set.
const OWNED: [HeaderName; 7] = [
    ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_ALLOW_CREDENTIALS,
    ACCESS_CONTROL_ALLOW_HEADERS,
    ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_EXPOSE_HEADERS,
    ACCESS_CONTROL_MAX_AGE,
    HeaderName::from_static("access-control-allow-private-network"),
];

impl Cors {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When `credentials` stands with `"*"` or `null`, or `max_age` is over 24h.
    pub fn build(settings: CorsSettings, _: &BuildCx<'_>) -> Result<Self, BuildError> {
        if settings.credentials {
            check_credentials(&settings)?;
        }
        if settings.max_age.get() > LONGEST_MAX_AGE {
            let error = BuildError::new(format!("`{}` is too long; up to 24h is allowed", settings.max_age));
            return Err(error.at("max_age"));
        }
        let CorsSettings { origins, methods, headers, expose, credentials, max_age } = settings;
        let mut preflight = Vec::new();
        let lists = [
            (ACCESS_CONTROL_ALLOW_METHODS, list(&methods)?),
            (ACCESS_CONTROL_ALLOW_HEADERS, list(&headers)?),
        ];
        preflight.extend(lists.into_iter().filter_map(|(name, value)| Some((name, value?))));
        preflight.push((ACCESS_CONTROL_MAX_AGE, HeaderValue::from(max_age.get().as_secs())));
        let origins: Vec<_> = origins.into_iter().collect();
        Ok(Self {
            is_for_all: origins.contains(&OriginPattern::Any),
            credentials,
            expose: list(&expose)?,
            description: describe(&origins, credentials),
            preflight,
            origins,
        })
    }

    /// What an allowed origin is told; `None` for others, and for requests that name none or several.
    fn allows(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut fields = headers.get_all(ORIGIN).iter();
        let (Some(origin), None) = (fields.next(), fields.next()) else { return None };
        let is_allowed = self.origins.iter().any(|pattern| pattern.matches(origin.as_bytes()));
        is_allowed.then(|| if self.is_for_all { ALLOW_ALL } else { origin.clone() })
    }

    fn answer(&self, allowed: Option<HeaderValue>) -> Answer {
        let mut answer = Answer::new(StatusCode::NO_CONTENT, "");
        if !self.is_for_all {
            answer = answer.with_header(VARY, VARY_ORIGIN);
        }
        let Some(origin) = allowed else { return answer };
        answer = answer.with_header(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            answer = answer.with_header(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE);
        }
        answer.headers.extend(self.preflight.iter().cloned());
        answer
    }
}

/// A browser asks before it sends a request that a form could not send.
fn is_preflight(request: &RequestView<'_>) -> bool {
    *request.method() == Method::OPTIONS
        && request.header(ORIGIN).is_some()
        && request.header(ACCESS_CONTROL_REQUEST_METHOD).is_some()
}

#[async_trait]
impl Filter for Cors {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        let allowed = self.allows(request.headers());
        if is_preflight(request) {
            cx.extensions_mut().insert(Verdict::Preflight);
            return Ok(self.answer(allowed).into());
        }
        if let Some(origin) = allowed {
            cx.extensions_mut().insert(Verdict::Allowed(origin));
        }
        Ok(Flow::Continue)
    }

    fn on_response(&self, response: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        let verdict = cx.extensions().get::<Verdict>();
        if matches!(verdict, Some(Verdict::Preflight)) {
            return Ok(());
        }
        for name in &OWNED {
            response.remove_header(name);
        }
        if !self.is_for_all && !varies_by_origin(response.headers()) {
            response.add_header(VARY, VARY_ORIGIN)?;
        }
        let Some(Verdict::Allowed(origin)) = verdict else { return Ok(()) };
        response.set_header(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone())?;
        if self.credentials {
            response.set_header(ACCESS_CONTROL_ALLOW_CREDENTIALS, TRUE)?;
        }
        match &self.expose {
            Some(expose) => response.set_header(ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone()),
            None => Ok(()),
        }
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

/// Whether caches are told already; they would give the answer for one origin to another otherwise.
fn varies_by_origin(headers: &HeaderMap) -> bool {
    let fields = headers.get_all(VARY).iter();
    let mut names =
        fields.flat_map(|field| field.as_bytes().split(|&byte| byte == b',')).map(<[u8]>::trim_ascii);
    names.any(|name| name == b"*" || name.eq_ignore_ascii_case(b"origin"))
}

/// With credentials, browsers take no `*` (Fetch Standard §3.2.5), and to let everybody in would give answers for one user to
/// every site that the user visits.
fn check_credentials(settings: &CorsSettings) -> Result<(), BuildError> {
    for (index, origin) in settings.origins.as_slice().iter().enumerate() {
        let problem = match origin {
            OriginPattern::Any => {
                "with `credentials: true`, every site could read what is answered to its visitors"
            }
            OriginPattern::Null => "with `credentials: true`, every site could do so from a sandboxed frame",
            _ => continue,
        };
        return Err(BuildError::new(problem).at(index).at("origins").with_help("list the origins"));
    }
    let star = |key: &str, names: &[FieldName]| match names.iter().position(|name| name.name() == "*") {
        Some(index) => Err(BuildError::new("with `credentials: true`, browsers take `*` for a name")
            .at(index)
            .at(key)
            .with_help("list the names")),
        None => Ok(()),
    };
    star("headers", &settings.headers)?;
    star("expose", &settings.expose)
}

/// `A, B`; `None` when there are none.
fn list(items: &[impl Display]) -> Result<Option<HeaderValue>, BuildError> {
    if items.is_empty() {
        return Ok(None);
    }
    let text = items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    HeaderValue::try_from(text).map(Some).map_err(BuildError::new)
}

fn describe(origins: &[OriginPattern], credentials: bool) -> String {
    const SHOWN: usize = 3;
    let mut text = origins.iter().take(SHOWN).map(ToString::to_string).collect::<Vec<_>>().join(", ");
    if origins.len() > SHOWN {
        text += &format!(" and {} more", origins.len() - SHOWN);
    }
    if credentials {
        text += ", with credentials";
    }
    text
}

#[cfg(test)]
mod tests;
