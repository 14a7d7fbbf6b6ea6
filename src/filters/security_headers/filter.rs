use async_trait::async_trait;
use http::header::{
    CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY_REPORT_ONLY, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
    X_FRAME_OPTIONS,
};
use http::{HeaderName, HeaderValue};

use crate::filters::FieldName;
use crate::filters::headers::{Side, changeable};
use crate::hooks::{BuildCx, BuildError, Filter, FilterCx, HookError, ResponseView};

use super::SecurityHeadersSettings;

/// The filter `security_headers`.
#[derive(Debug)]
pub struct SecurityHeaders {
    set: Vec<(HeaderName, HeaderValue)>,
    remove: Vec<HeaderName>,
    overrides: bool,
}

const PERMISSIONS_POLICY: HeaderName = HeaderName::from_static("permissions-policy");
const OPENER_POLICY: HeaderName = HeaderName::from_static("cross-origin-opener-policy");
const EMBEDDER_POLICY: HeaderName = HeaderName::from_static("cross-origin-embedder-policy");
const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

impl SecurityHeaders {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When there is nothing to do, a policy is empty or cannot be a header's value, `report_only` stands without a policy,
    /// or `remove` names a header that frames the message or is `Date`.
    pub fn build(settings: SecurityHeadersSettings, _: &BuildCx<'_>) -> Result<Self, BuildError> {
        if settings.report_only && settings.content_security_policy.is_none() {
            let error = BuildError::new("`report_only` has a meaning with `content_security_policy` only");
            return Err(error.at("report_only"));
        }
        let set = fields(&settings)?;
        let remove = removed(settings.remove)?;
        if set.is_empty() && remove.is_empty() {
            return Err(BuildError::new("nothing to do; everything is switched off"));
        }
        Ok(Self { set, remove, overrides: settings.r#override })
    }
}

fn removed(names: Vec<FieldName>) -> Result<Vec<HeaderName>, BuildError> {
    let names = names.into_iter().enumerate();
    names.map(|(at, name)| changeable(Side::Response, &name).map_err(|e| e.at(at).at("remove"))).collect()
}

fn fields(settings: &SecurityHeadersSettings) -> Result<Vec<(HeaderName, HeaderValue)>, BuildError> {
    let policy_header = match settings.report_only {
        true => CONTENT_SECURITY_POLICY_REPORT_ONLY,
        false => CONTENT_SECURITY_POLICY,
    };
    let written = [
        (policy_header, text(settings.content_security_policy.as_deref(), "content_security_policy")?),
        (PERMISSIONS_POLICY, text(settings.permissions.as_deref(), "permissions")?),
    ];
    let cross_origin = settings.cross_origin;
    let chosen = [
        (X_CONTENT_TYPE_OPTIONS, settings.content_type_options.then_some("nosniff")),
        (X_FRAME_OPTIONS, settings.frame.value()),
        (REFERRER_POLICY, settings.referrer.value()),
        (OPENER_POLICY, cross_origin.opener.value()),
        (EMBEDDER_POLICY, cross_origin.embedder.value()),
        (RESOURCE_POLICY, cross_origin.resource.value()),
    ];
    let chosen = chosen.into_iter().map(|(name, value)| (name, value.map(HeaderValue::from_static)));
    Ok(chosen.chain(written).filter_map(|(name, value)| Some((name, value?))).collect())
}

/// A policy as it is written, over several lines perhaps.
fn text(policy: Option<&str>, key: &str) -> Result<Option<HeaderValue>, BuildError> {
    let Some(policy) = policy else { return Ok(None) };
    let policy = policy.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
    if policy.is_empty() {
        return Err(BuildError::new("the policy is empty").at(key).with_help("leave the key out for none"));
    }
    if !policy.is_ascii() {
        return Err(BuildError::new("a policy is ASCII; write hosts in their encoded form (xn--…)").at(key));
    }
    let value = HeaderValue::try_from(policy);
    value.map(Some).map_err(|_| BuildError::new("control characters are not allowed").at(key))
}

#[async_trait]
impl Filter for SecurityHeaders {
    fn on_response(&self, response: &mut ResponseView<'_>, _: &mut FilterCx<'_>) -> Result<(), HookError> {
        for name in &self.remove {
            response.remove_header(name);
        }
        for (name, value) in &self.set {
            if self.overrides || response.header(name).is_none() {
                response.set_header(name.clone(), value.clone())?;
            }
        }
        Ok(())
    }

    fn describe(&self) -> String {
        let set = self.set.iter().map(|(name, _)| name.to_string());
        let removed = self.remove.iter().map(|name| format!("no {name}"));
        set.chain(removed).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::hooks::testing::{self, Exchange};

    fn build(yaml: &str) -> Result<SecurityHeaders, BuildError> {
        testing::build(serde_yaml::from_str(yaml).unwrap(), SecurityHeaders::build)
    }

    fn told(yaml: &str, said: &[(&str, &str)]) -> Vec<String> {
        let exchange = Exchange::get("/", Instant::now());
        let mut exchange =
            said.iter().fold(exchange, |exchange, (name, value)| exchange.with_response_header(name, value));
        exchange.on_response(&build(yaml).unwrap()).unwrap();
        let headers = exchange.response_headers().iter();
        let mut told: Vec<_> =
            headers.map(|(name, value)| format!("{name}: {}", value.to_str().unwrap())).collect();
        told.sort();
        told
    }

    #[test]
    fn the_defaults_break_no_page_that_frames_nothing() {
        let said = [("server", "app/1.0"), ("x-powered-by", "PHP"), ("x-powered-by", "magic")];
        assert_eq!(
            told("{}", &said),
            [
                "referrer-policy: strict-origin-when-cross-origin",
                "x-content-type-options: nosniff",
                "x-frame-options: DENY",
            ]
        );
    }

    #[test]
    fn everything_can_be_said() {
        let yaml = "{ frame: sameorigin, referrer: no-referrer, content_type_options: false, \
                    content_security_policy: \"default-src 'self';\\n  img-src *\", permissions: 'camera=()', \
                    cross_origin: { opener: same-origin-allow-popups, embedder: credentialless, resource: same-site }, \
                    remove: [X-Debug] }";
        assert_eq!(
            told(yaml, &[("server", "app"), ("x-debug", "1")]),
            [
                "content-security-policy: default-src 'self'; img-src *",
                "cross-origin-embedder-policy: credentialless",
                "cross-origin-opener-policy: same-origin-allow-popups",
                "cross-origin-resource-policy: same-site",
                "permissions-policy: camera=()",
                "referrer-policy: no-referrer",
                "server: app",
                "x-frame-options: SAMEORIGIN",
            ]
        );
        let trial = "{ content_security_policy: x, report_only: true, frame: off, referrer: off, content_type_options: false }";
        assert_eq!(told(trial, &[]), ["content-security-policy-report-only: x"]);
    }

    #[test]
    fn what_the_endpoint_says_stays_unless_told_otherwise() {
        let said = [("x-frame-options", "SAMEORIGIN"), ("x-frame-options", "ALLOW")];
        assert!(told("{}", &said).contains(&"x-frame-options: SAMEORIGIN".to_owned()));
        let told = told("{ override: true }", &said);
        assert_eq!(
            told.iter().filter(|field| field.starts_with("x-frame")).collect::<Vec<_>>(),
            ["x-frame-options: DENY"]
        );
    }

    #[test]
    fn settings_that_mean_nothing_are_refused() {
        for (yaml, key) in [
            ("{ report_only: true }", &["report_only"][..]),
            ("{ content_security_policy: ' ' }", &["content_security_policy"]),
            ("{ permissions: \"a\\x01b\" }", &["permissions"]),
            ("{ content_security_policy: 'img-src é.example' }", &["content_security_policy"]),
            ("{ remove: [Server, Content-Length] }", &["remove", "1"]),
            ("{ frame: off, referrer: off, content_type_options: false, remove: [] }", &[]),
        ] {
            assert_eq!(build(yaml).unwrap_err().into_parts().0, key, "{yaml}");
        }
    }
}
