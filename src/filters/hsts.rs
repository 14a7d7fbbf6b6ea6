//! `hsts`: tells browsers to come over TLS only (RFC 6797).

use async_trait::async_trait;
use http::HeaderValue;
use http::header::STRICT_TRANSPORT_SECURITY;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::hooks::{BuildCx, BuildError, Filter, FilterCx, HookError, ResponseView, Scheme};
use crate::types::Span;

/// Tells browsers to come over TLS only, in `Strict-Transport-Security`. Answers over plain HTTP stay as they are, since
/// browsers ignore the header there (RFC 6797 §7.2).
#[derive(Clone, Copy, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct HstsSettings {
    /// How long browsers remember it, up to 365d. `0s` makes them forget.
    pub max_age: Span,
    /// Whether it is for all hosts below this one too.
    pub include_subdomains: bool,
    /// Whether browsers' makers may put the host on the list that they ship. Needs `include_subdomains` and a `max_age`
    /// of a year, and cannot be taken back for months.
    pub preload: bool,
}

impl Default for HstsSettings {
    fn default() -> Self {
        Self { max_age: Span::from_secs(YEAR), include_subdomains: false, preload: false }
    }
}

const YEAR: u64 = 365 * 24 * 3600;

/// The filter `hsts`.
#[derive(Debug)]
pub struct Hsts {
    value: HeaderValue,
}

impl Hsts {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When `preload` lacks what the makers of browsers ask for.
    pub fn build(settings: HstsSettings, _: &BuildCx<'_>) -> Result<Self, BuildError> {
        let HstsSettings { max_age, include_subdomains, preload } = settings;
        let seconds = max_age.get().as_secs();
        if preload && (!include_subdomains || seconds < YEAR) {
            let problem =
                "the list takes only hosts with `include_subdomains: true` and a `max_age` of 365d or more";
            return Err(BuildError::new(problem).at("preload"));
        }
        let subdomains = if include_subdomains { "; includeSubDomains" } else { "" };
        let preload = if preload { "; preload" } else { "" };
        let value = HeaderValue::try_from(format!("max-age={seconds}{subdomains}{preload}"));
        Ok(Self { value: value.map_err(BuildError::new)? })
    }
}

#[async_trait]
impl Filter for Hsts {
    fn on_response(&self, response: &mut ResponseView<'_>, cx: &mut FilterCx<'_>) -> Result<(), HookError> {
        if cx.facts().scheme == Scheme::Https {
            response.set_header(STRICT_TRANSPORT_SECURITY, self.value.clone())?;
        }
        Ok(())
    }

    fn describe(&self) -> String {
        self.value.to_str().unwrap_or_default().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::hooks::TlsSession;
    use crate::hooks::testing::{self, Exchange};
    use crate::types::TlsVersion;

    fn build(yaml: &str) -> Result<Hsts, BuildError> {
        testing::build(serde_yaml::from_str(yaml).unwrap(), Hsts::build)
    }

    #[test]
    fn the_value_is_made_of_the_settings() {
        for (settings, expected) in [
            ("{}", "max-age=31536000"),
            ("{ max_age: 1h, include_subdomains: true }", "max-age=3600; includeSubDomains"),
            (
                "{ max_age: 365d, include_subdomains: true, preload: true }",
                "max-age=31536000; includeSubDomains; preload",
            ),
            ("{ max_age: 0s }", "max-age=0"),
        ] {
            assert_eq!(build(settings).unwrap().describe(), expected);
        }
        for settings in ["{ preload: true }", "{ preload: true, include_subdomains: true, max_age: 1d }"] {
            assert!(build(settings).unwrap_err().to_string().contains("include_subdomains"), "{settings}");
        }
    }

    #[test]
    fn only_answers_over_tls_have_it() {
        let filter = build("{}").unwrap();
        let mut plain = Exchange::get("/", Instant::now());
        plain.on_response(&filter).unwrap();
        assert!(plain.response_headers().is_empty());
        let mut secure = Exchange::get("/", Instant::now()).over_tls(TlsSession::new(TlsVersion::V1_3));
        secure.on_response(&filter).unwrap();
        assert_eq!(secure.response_headers()[STRICT_TRANSPORT_SECURITY], "max-age=31536000");
    }
}
