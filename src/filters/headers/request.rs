use async_trait::async_trait;
use http::HeaderName;

use crate::hooks::{BuildCx, BuildError, Filter, FilterCx, Flow, HookError, RequestVars, RequestView};

use super::HeaderSettings;
use super::owned::Side;
use super::rules::{Rules, Text};

/// The filter `request_headers`: changes the headers of requests before they are forwarded.
///
/// Values with `{endpoint}` are set and added with every attempt, after its endpoint was chosen and so after
/// all others.
#[derive(Debug)]
pub struct RequestHeaders {
    /// What can be done before an endpoint is chosen.
    early: Rules,
    /// What needs `{endpoint}`.
    late: Rules,
    /// What clients may not say themselves.
    claims: Vec<HeaderName>,
    description: String,
}

impl RequestHeaders {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When there is nothing to do, a value cannot be a header's, or a header is one that Evener sets itself
    /// (`Host`, `X-Forwarded-*`, `X-Real-IP`, `X-Request-ID`, `Via`) or that frames the message (`Content-Length`,
    /// `Transfer-Encoding`, `Connection`, …).
    pub fn build(settings: HeaderSettings, _: &BuildCx<'_>) -> Result<Self, BuildError> {
        let rules = Rules::build(settings, Side::Request)?;
        let description = rules.describe();
        let claims = rules.claims();
        let split = |texts: Vec<(HeaderName, Text)>| -> (Vec<_>, Vec<_>) {
            texts.into_iter().partition(|(_, text)| text.needs_endpoint())
        };
        let ((late_set, set), (late_add, add)) = (split(rules.set), split(rules.add));
        let early = Rules { remove: rules.remove, set, add };
        let late = Rules { remove: Vec::new(), set: late_set, add: late_add };
        Ok(Self { early, late, claims, description })
    }
}

/// Whether two names are one to CGI programs, to which `_` and `-` are.
pub(in crate::filters) fn are_alike(one: &HeaderName, other: &HeaderName) -> bool {
    let plain = |byte: u8| if byte == b'_' { b'-' } else { byte };
    let (one, other) = (one.as_str(), other.as_str());
    one.len() == other.len() && one.bytes().map(plain).eq(other.bytes().map(plain))
}

/// Takes off what a client says under names that only the edge may use: to CGI programs `_` and `-` are one.
pub(in crate::filters) fn strip_claims(claims: &[HeaderName], request: &mut RequestView<'_>) {
    if claims.is_empty() {
        return;
    }
    let is_claim = |name: &&HeaderName| claims.iter().any(|claim| are_alike(claim, name));
    let found: Vec<_> = request.headers().keys().filter(is_claim).cloned().collect();
    for name in &found {
        request.remove_header(name);
    }
}

fn apply(rules: &Rules, request: &mut RequestView<'_>, cx: &FilterCx<'_>) -> Result<(), HookError> {
    for name in &rules.remove {
        request.remove_header(name);
    }
    for (name, text) in &rules.set {
        if let Some(value) = text.value(&RequestVars::of_request(request, cx))? {
            request.set_header(name.clone(), value)?;
        }
    }
    for (name, text) in &rules.add {
        if let Some(value) = text.value(&RequestVars::of_request(request, cx))? {
            request.add_header(name.clone(), value)?;
        }
    }
    Ok(())
}

#[async_trait]
impl Filter for RequestHeaders {
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        strip_claims(&self.claims, request);
        apply(&self.early, request, cx)?;
        Ok(Flow::Continue)
    }

    fn on_upstream_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<(), HookError> {
        apply(&self.late, request, cx)
    }

    fn describe(&self) -> String {
        self.description.clone()
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::hooks::testing::{self, Exchange};

    fn build(yaml: &str) -> Result<RequestHeaders, BuildError> {
        testing::build(serde_yaml::from_str(yaml).unwrap(), RequestHeaders::build)
    }

    fn all<'e>(exchange: &'e Exchange, name: &str) -> Vec<&'e str> {
        exchange.request_headers().get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[tokio::test]
    async fn removes_then_sets_then_adds() {
        let filter =
            build("{ add: { X-A: added }, set: { X-A: set, X-B: '' }, remove: [x-a, X-C] }").unwrap();
        let mut exchange = Exchange::get("/", Instant::now())
            .with_header("x-a", "1")
            .with_header("x-a", "2")
            .with_header("x-b", "3")
            .with_header("x-c", "4");
        assert!(matches!(exchange.on_request(&filter).await, Ok(Flow::Continue)));
        assert_eq!(all(&exchange, "x-a"), ["set", "added"]);
        assert_eq!(all(&exchange, "x-b"), [""]);
        assert_eq!(all(&exchange, "x-c"), [""; 0]);
        assert_eq!(filter.describe(), "remove x-a, remove x-c, set x-a, set x-b, add x-a");
    }

    #[tokio::test]
    async fn variables_take_the_values_of_the_request() {
        let filter = build("set: { X-From: '{client_ip} {method} {host}{path}{query} {{x}}' }").unwrap();
        let mut exchange = Exchange::get("/a?b=1", Instant::now());
        exchange.on_request(&filter).await.unwrap();
        assert_eq!(all(&exchange, "x-from"), ["192.0.2.1 GET www.example.com/a?b=1 {x}"]);
    }

    #[tokio::test]
    async fn the_endpoint_is_told_to_each_attempt_alone() {
        let filter = build("{ set: { X-To: 'to {endpoint}' }, add: { X-To: plain } }").unwrap();
        let mut exchange = Exchange::get("/", Instant::now());
        exchange.on_request(&filter).await.unwrap();
        assert_eq!(all(&exchange, "x-to"), ["plain"]);
        let mut exchange = exchange.with_endpoint("10.0.0.7:80".parse().unwrap());
        exchange.on_upstream_request(&filter).unwrap();
        assert_eq!(all(&exchange, "x-to"), ["to 10.0.0.7:80"]);
    }

    #[test]
    fn headers_that_evener_owns_or_that_frame_are_refused_in_any_case_and_way() {
        let names = [
            "Host",
            "CONTENT-LENGTH",
            "Transfer-Encoding",
            "connection",
            "Upgrade",
            "Keep-Alive",
            "TE",
            "Trailer",
            "Proxy-Authorization",
            "X-Forwarded-For",
            "X-Forwarded-Proto",
            "X-Forwarded-Host",
            "X-Real-IP",
            "X-Request-ID",
            "Via",
        ];
        for name in names {
            for (yaml, key) in [
                (format!("set: {{ {name}: x }}"), vec!["set", name]),
                (format!("add: {{ X-Ok: x, {name}: x }}"), vec!["add", name]),
                (format!("remove: [X-Ok, {name}]"), vec!["remove", "1"]),
            ] {
                let (found_key, message, _) = build(&yaml).unwrap_err().into_parts();
                assert_eq!(found_key, key);
                assert!(message.starts_with(&format!("`{name}` cannot be changed: ")), "{message}");
            }
        }
        let (_, _, help) = build("set: { Host: x }").unwrap_err().into_parts();
        assert!(help.unwrap().contains("rewrite: { host"));
    }

    #[test]
    fn values_that_no_header_can_have_are_refused_at_their_name() {
        for yaml in
            [r#"set: { X-A: "a\nb" }"#, r#"set: { X-A: "{host}\r\nX-B: c" }"#, r#"set: { X-A: "\0" }"#]
        {
            let (key, message, _) = build(yaml).unwrap_err().into_parts();
            assert_eq!(key, ["set", "X-A"]);
            assert!(message.contains("not a header's value"), "{message}");
        }
    }

    #[test]
    fn empty_and_repeated_rules_are_refused() {
        assert!(build("{}").unwrap_err().to_string().contains("nothing to do"));
        let read =
            |yaml: &str| serde_yaml::from_str::<HeaderSettings>(yaml).map(drop).map_err(|e| e.to_string());
        assert!(read("set: { X-A: 1, x-a: 2 }").unwrap_err().contains("twice"));
        assert!(read("set: { 'X A': 1 }").unwrap_err().contains("not a header's name"));
        assert!(read("set: { X-A: '{nope}' }").unwrap_err().contains("unknown variable"));
        assert!(read("replace: {}").unwrap_err().contains("unknown field"));
    }
}
