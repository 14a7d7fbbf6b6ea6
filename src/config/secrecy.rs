//! What of a configuration is not shown, where no schema says so.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;

use crate::types::{PlainName, shown_url};

use super::{KeyPath, Segment};

/// What stands in the place of a secret.
pub(super) const HIDDEN: &str = "…";

/// Last words of keys under which secrets stand.
const SECRET: [&str; 8] =
    ["apikey", "authorization", "credential", "passphrase", "passwd", "password", "secret", "token"];

/// Keys under which the names of headers, cookies and parameters stand, with what they are to be.
const OF_HEADERS: [&str; 3] = ["add", "headers", "set"];
const OF_PARAMETERS: [&str; 2] = ["cookies", "query"];

/// What follows a scheme of `Authorization`.
static SCHEME: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(?P<scheme>\b(?:bearer|basic|digest)\s+|^(?:apikey|hmac|negotiate|ntlm|token)\s+)\S.*")
        .ok()
});

/// Whether a value is to be kept to oneself. Which settings of filters are secret, only these know, and headers can be
/// too: so names decide, and rather one too many than one too few.
pub(super) fn is_secret(at: &KeyPath) -> bool {
    let segments = at.segments();
    let segments = within_tokens(segments).unwrap_or(segments);
    segments.iter().any(|segment| matches!(segment, Segment::Key(key) if names_a_secret(key)))
        || segments.windows(2).any(|pair| match pair {
            [Segment::Key(around), Segment::Key(key)] => names_a_credential(around, key),
            _ => false,
        })
}

/// What comes after `admin.tokens`, a map by names with more in it than secrets. Differences of a section are told by what
/// comes after its name.
fn within_tokens(segments: &[Segment]) -> Option<&[Segment]> {
    let is = |segment: &Segment, name: &str| matches!(segment, Segment::Key(key) if key == name);
    match segments {
        [admin, tokens, rest @ ..] if is(admin, "admin") && is(tokens, "tokens") => Some(rest),
        [tokens, rest @ ..] if is(tokens, "tokens") => Some(rest),
        _ => None,
    }
}

fn names_a_secret(key: &str) -> bool {
    let lower = key.to_ascii_lowercase();
    let words: Vec<_> = lower.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    let Some((last, before)) = words.split_last() else { return false };
    let last = last.strip_suffix('s').unwrap_or(last);
    // A key alone is that of a hash, or a file; an API key is another thing.
    SECRET.contains(&last)
        || (last == "key" && !before.is_empty())
        || PlainName::of(key.as_bytes()).ends_as_credential()
}

/// Whether the key is the name of a header, a cookie or a parameter that holds a credential.
fn names_a_credential(around: &str, key: &str) -> bool {
    let name = PlainName::of(key.as_bytes());
    (OF_HEADERS.contains(&around) && name.is_credential_header())
        || (OF_PARAMETERS.contains(&around) && name.is_credential())
        // As a parameter it is about anything, as a cookie about who somebody is.
        || (around == "cookies" && key.eq_ignore_ascii_case("sid"))
}

/// A text without the secrets that stand in it: users and passwords of URLs, values of their queries, and what follows a
/// scheme of `Authorization`.
pub(super) fn shown<'t>(at: &KeyPath, text: &'t str) -> Cow<'t, str> {
    let Some(scheme) = SCHEME.as_ref() else { return HIDDEN.into() };
    let urls: String = text.split_inclusive(ends_url).map(|part| shown_part(at, part)).collect();
    let shown = scheme.replace_all(&urls, format!("${{scheme}}{HIDDEN}"));
    if shown == text { text.into() } else { shown.into_owned().into() }
}

/// No URL has these.
fn ends_url(c: char) -> bool {
    c.is_whitespace() || c.is_control() || matches!(c, '"' | '\'' | '<' | '>' | '`')
}

fn shown_part<'t>(at: &KeyPath, part: &'t str) -> Cow<'t, str> {
    let has_query = part
        .split_once('?')
        .is_some_and(|(before, query)| !is_pattern(at) && (before.starts_with('/') || query.contains('=')));
    if !has_query && !part.contains("://") {
        return part.into();
    }
    let text = part.trim_end_matches(ends_url);
    format!("{}{}", shown_url(text), &part[text.len()..]).into()
}

/// Whether a question mark has another meaning there.
fn is_pattern(at: &KeyPath) -> bool {
    matches!(at.segments().last(), Some(Segment::Key(key)) if key == "regex")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(keys: &[&str]) -> KeyPath {
        keys.iter().fold(KeyPath::default(), |at, key| at.child(*key))
    }

    #[test]
    fn names_tell_secrets_from_what_is_about_them() {
        for key in [
            "secret",
            "client_secret",
            "clientSecret",
            "api_keys",
            "X-Api-Key",
            "X-Hub-Signature",
            "Authorization",
            "Proxy-Authorization",
            "tokens",
        ] {
            assert!(is_secret(&at(&["filters", key, "x"])), "{key}");
        }
        for tokens in [at(&["admin", "tokens"]), at(&["tokens"])] {
            let token = tokens.child("deploy");
            assert!(is_secret(&token.child("token")) && !is_secret(&token.child("scope")));
        }
        for key in ["key", "secret_file", "token_url", "client_auth", "pass", "cookie", ""] {
            assert!(!is_secret(&at(&[key])), "{key}");
        }
    }

    #[test]
    fn credentials_in_headers_cookies_and_parameters_are_secret() {
        for keys in [
            ["headers", "Cookie"],
            ["headers", "DPoP"],
            ["set", "Set-Cookie"],
            ["add", "cookie"],
            ["cookies", "session"],
            ["cookies", "JSESSIONID"],
            ["cookies", "sid"],
            ["query", "code"],
            ["query", "accessToken"],
        ] {
            assert!(is_secret(&at(&["match"]).child(keys[0]).child(keys[1])), "{keys:?}");
        }
        for keys in [["sticky", "cookie"], ["from", "cookie"], ["headers", "session"], ["cookies", "canary"]]
        {
            assert!(!is_secret(&at(&keys)), "{keys:?}");
        }
    }

    #[test]
    fn texts_are_shown_without_their_secrets() {
        for (text, expected) in [
            ("http://user:SECRET@a.example:80/check", "http://…@a.example:80/check"),
            ("see 'https://a.example/?k=SECRET' there", "see 'https://a.example/?k=…' there"),
            ("https://a.example?to=ops@b.example&k=SECRET", "https://…"),
            ("/up?k=SECRET", "/up?k=…"),
            ("{path}?k=SECRET", "{path}?k=…"),
            ("Bearer SECRET", "Bearer …"),
            ("Token SECRET", "Token …"),
            ("no token here", "no token here"),
            ("what? a=b", "what? a=b"),
            ("plain", "plain"),
        ] {
            assert_eq!(shown(&at(&["to"]), text), expected);
        }
        assert_eq!(shown(&at(&["path", "regex"]), "/a/?b=c"), "/a/?b=c");
    }
}
