use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use super::json::{Json, Object};
use super::refusal::Refusal;

/// What the claims of a token have to say (RFC 7519 §4.1).
#[derive(Debug)]
pub(super) struct Rules {
    /// Any, if there are none.
    pub(super) issuers: Vec<String>,
    /// If there are none, no token may name an audience: it would be for somebody else.
    pub(super) audiences: Vec<String>,
    pub(super) required: Vec<String>,
    pub(super) leeway: Duration,
}

impl Rules {
    pub(super) fn check(&self, claims: &Object<'_>, now: SystemTime) -> Result<(), Refusal> {
        if self.required.iter().any(|name| claims.get(name).is_none_or(|value| *value == Json::Null)) {
            return Err(Refusal::Missing);
        }
        self.check_times(claims, now)?;
        let is_issued = self.issuers.is_empty()
            || claims.text("iss").is_some_and(|issuer| self.issuers.iter().any(|known| known == issuer));
        if !is_issued {
            return Err(Refusal::Issuer);
        }
        if self.is_audience(claims) { Ok(()) } else { Err(Refusal::Audience) }
    }

    fn check_times(&self, claims: &Object<'_>, now: SystemTime) -> Result<(), Refusal> {
        let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let leeway = self.leeway.as_secs_f64();
        if time(claims, "exp")?.is_some_and(|expires| now >= expires + leeway) {
            return Err(Refusal::Expired);
        }
        if time(claims, "nbf")?.is_some_and(|begins| now + leeway < begins) {
            return Err(Refusal::Early);
        }
        Ok(())
    }

    fn is_audience(&self, claims: &Object<'_>) -> bool {
        let is_ours = |name: &str| self.audiences.iter().any(|known| known == name);
        match claims.get("aud") {
            None => self.audiences.is_empty(),
            Some(Json::Text(one)) => is_ours(one),
            Some(Json::List(many)) => many.iter().any(|item| matches!(item, Json::Text(one) if is_ours(one))),
            Some(_) => false,
        }
    }
}

/// A `NumericDate`, which may have a fraction.
fn time(claims: &Object<'_>, name: &str) -> Result<Option<f64>, Refusal> {
    match claims.get(name) {
        None => Ok(None),
        Some(Json::Number(seconds)) => Ok(seconds.as_f64()),
        Some(_) => Err(Refusal::Malformed("a time is no number")),
    }
}

/// What a claim says as a text: itself, or the items of a list with commas between them. `None` where that could be taken for
/// something else: for objects and empty lists, for items with a comma, for blanks around it, which readers of headers take off,
/// and for control characters.
pub(super) fn as_text<'c>(claim: &'c Json<'_>) -> Option<Cow<'c, str>> {
    match claim {
        Json::List(items) if items.is_empty() => None,
        Json::List(items) => {
            let items: Option<Vec<_>> = items.iter().map(scalar).collect();
            let items = items?;
            let has_comma = items.iter().any(|item| item.contains(','));
            (!has_comma).then(|| Cow::Owned(items.join(",")))
        }
        other => scalar(other),
    }
}

fn scalar<'c>(claim: &'c Json<'_>) -> Option<Cow<'c, str>> {
    let text = match claim {
        Json::Text(text) => Cow::Borrowed(&**text),
        Json::Bool(truth) => Cow::Borrowed(if *truth { "true" } else { "false" }),
        Json::Number(number) => Cow::Owned(number.to_string()),
        Json::Null | Json::List(_) | Json::Object(_) => return None,
    };
    let is_plain = text.trim() == text && !text.is_empty() && !text.chars().any(char::is_control);
    is_plain.then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn rules() -> Rules {
        Rules {
            issuers: vec!["https://idp.example/".into(), "https://other.example".into()],
            audiences: vec!["api".into(), "web".into()],
            required: vec!["exp".into(), "sub".into()],
            leeway: Duration::from_secs(60),
        }
    }

    fn check(rules: &Rules, claims: &str) -> Result<(), Refusal> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW);
        rules.check(&Object::parse(claims.as_bytes()).unwrap(), now)
    }

    /// Claims that are right but for these.
    fn with(others: &str) -> String {
        let right = [
            ("sub", "\"ada\""),
            ("exp", "1800000001"),
            ("iss", "\"https://idp.example/\""),
            ("aud", "\"api\""),
        ];
        let kept = right.iter().filter(|(name, _)| !others.contains(&format!("\"{name}\":")));
        let kept: Vec<_> = kept.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        let all = if others.is_empty() { kept.join(",") } else { format!("{},{others}", kept.join(",")) };
        format!("{{{all}}}")
    }

    #[test]
    fn times_are_numbers_and_have_leeway() {
        for (claims, expected) in [
            ("", Ok(())),
            ("\"exp\":1799999941", Ok(())),
            ("\"exp\":1799999940.5", Ok(())),
            ("\"exp\":1799999940", Err(Refusal::Expired)),
            ("\"exp\":0", Err(Refusal::Expired)),
            ("\"exp\":-1", Err(Refusal::Expired)),
            ("\"exp\":1e300", Ok(())),
            ("\"exp\":\"1800000001\"", Err(Refusal::Malformed("a time is no number"))),
            ("\"exp\":[1800000001]", Err(Refusal::Malformed("a time is no number"))),
            ("\"exp\":null", Err(Refusal::Missing)),
            ("\"nbf\":1800000060", Ok(())),
            ("\"nbf\":1800000060.5", Err(Refusal::Early)),
            ("\"nbf\":18446744073709551615", Err(Refusal::Early)),
            ("\"nbf\":null", Err(Refusal::Malformed("a time is no number"))),
            ("\"iat\":\"whenever\"", Ok(())),
        ] {
            assert_eq!(check(&rules(), &with(claims)), expected, "{claims}");
        }
        let unlimited = Rules { required: vec![], ..rules() };
        assert_eq!(check(&unlimited, r#"{"iss":"https://other.example","aud":"web"}"#), Ok(()));
        assert_eq!(check(&rules(), r#"{"iss":"https://other.example","aud":"web"}"#), Err(Refusal::Missing));
    }

    #[test]
    fn issuer_and_audience_are_compared_as_they_are() {
        for issuer in
            ["\"https://idp.example\"", "\"HTTPS://idp.example/\"", "[\"https://idp.example/\"]", "1"]
        {
            let claims = with(&format!("\"iss\":{issuer}"));
            assert_eq!(check(&rules(), &claims), Err(Refusal::Issuer), "{issuer}");
        }
        let claims = r#"{"sub":"a","exp":1800000001,"aud":"api"}"#;
        assert_eq!(check(&rules(), claims), Err(Refusal::Issuer));
        for (audience, expected) in [
            ("\"web\"", Ok(())),
            ("[\"x\",1,\"api\"]", Ok(())),
            ("\"API\"", Err(Refusal::Audience)),
            ("\"api web\"", Err(Refusal::Audience)),
            ("[]", Err(Refusal::Audience)),
            ("[[\"api\"]]", Err(Refusal::Audience)),
            ("{\"api\":1}", Err(Refusal::Audience)),
            ("null", Err(Refusal::Audience)),
        ] {
            assert_eq!(check(&rules(), &with(&format!("\"aud\":{audience}"))), expected, "{audience}");
        }
        let claims = r#"{"sub":"a","exp":1800000001,"iss":"https://idp.example/"}"#;
        assert_eq!(check(&rules(), claims), Err(Refusal::Audience));
    }

    #[test]
    fn without_an_audience_of_its_own_it_takes_no_token_for_others() {
        let anybody = Rules { issuers: vec![], audiences: vec![], ..rules() };
        assert_eq!(check(&anybody, r#"{"sub":"a","exp":1800000001}"#), Ok(()));
        assert_eq!(check(&anybody, r#"{"sub":"a","exp":1800000001,"aud":"x"}"#), Err(Refusal::Audience));
        assert_eq!(check(&anybody, r#"{"sub":"a","exp":1800000001,"aud":[]}"#), Err(Refusal::Audience));
    }

    #[test]
    fn claims_are_told_as_texts_that_mean_one_thing() {
        for (claim, expected) in [
            ("\"ada\"", Some("ada")),
            ("\"ada, countess\"", Some("ada, countess")),
            ("17", Some("17")),
            ("1.5", Some("1.5")),
            ("true", Some("true")),
            ("[\"admin\",\"dev\",3]", Some("admin,dev,3")),
            ("[\"a,admin\"]", None),
            ("[[\"a\"]]", None),
            ("[\"a\",null]", None),
            ("[]", None),
            ("{}", None),
            ("null", None),
            ("\"\"", None),
            ("\" ada\"", None),
            ("\"ada\\t\"", None),
            ("\"a\\u0000b\"", None),
            ("\"a\\r\\nX-Admin: 1\"", None),
            ("\"a\\u0085b\"", None),
            ("[\"a\",\" b\"]", None),
        ] {
            let text = format!("{{\"c\":{claim}}}");
            let object = Object::parse(text.as_bytes()).unwrap();
            assert_eq!(as_text(object.get("c").unwrap()).as_deref(), expected, "{claim}");
        }
    }
}
