use proptest::prelude::*;
use tokio::time::Instant;

use super::*;
use crate::hooks::testing::{self, Exchange};

fn build(yaml: &str) -> Result<Rewrite, BuildError> {
    testing::build(serde_yaml::from_str(yaml).unwrap(), Rewrite::build)
}

async fn rewritten(yaml: &str, target: &str) -> Result<Exchange, HookError> {
    let mut exchange = Exchange::get(target, Instant::now());
    let flow = exchange.on_request(&build(yaml).unwrap()).await?;
    assert!(matches!(flow, Flow::Continue));
    Ok(exchange)
}

#[tokio::test]
async fn a_prefix_is_stripped_by_whole_segments() {
    let cases = [
        ("/api/x", "/x"),
        ("/api", "/"),
        ("/api/", "/"),
        ("/apix", "/apix"),
        ("/api/api/x?a=/api/", "/api/x?a=/api/"),
        ("/x/api", "/x/api"),
        ("/API/x", "/API/x"),
        ("/api?", "/?"),
    ];
    for (target, expected) in cases {
        for prefix in ["/api", "/api/"] {
            let exchange = rewritten(&format!("strip_prefix: {prefix}"), target).await.unwrap();
            assert_eq!(exchange.target(), expected, "{target} without {prefix}");
        }
    }
}

#[tokio::test]
async fn the_first_match_is_replaced_and_the_query_kept() {
    let cases = [
        ("{ regex: '^/v[0-9]+/(.*)$', to: '/$1' }", "/v2/users?id=1", "/users?id=1"),
        ("{ regex: '^/v[0-9]+/(.*)$', to: '/$1' }", "/users", "/users"),
        ("{ regex: '^/(?P<who>[^/]+)/(.*)', to: '/${2}/by/$who' }", "/ann/books", "/books/by/ann"),
        ("{ regex: 'o', to: '0' }", "/foo/o", "/f0o/o"),
        ("{ regex: '^/old', to: '/price$$' }", "/old", "/price$"),
        ("{ regex: '^/a', to: '/x//y/.' }", "/a", "/x/y/"),
        ("{ regex: '^/a', to: '/a b' }", "/a", "/a%20b"),
        ("{ regex: '^/a/', to: '/../' }", "/b", "/b"),
    ];
    for (path, target, expected) in cases {
        let exchange = rewritten(&format!("path: {path}"), target).await.unwrap();
        assert_eq!(exchange.target(), expected, "{target} by {path}");
    }
}

#[tokio::test]
async fn a_path_that_cannot_be_forwarded_fails_the_request_with_400() {
    let cases = [("{ regex: '^/a/', to: '' }", "/a/b"), ("{ regex: '^/(.*)$', to: '/../$1' }", "/b")];
    for (path, target) in cases {
        let error = rewritten(&format!("path: {path}"), target).await.unwrap_err();
        assert_eq!(error.status(), StatusCode::BAD_REQUEST, "{error}");
    }
}

#[tokio::test]
async fn the_host_is_forwarded_beside_the_path() {
    let exchange = rewritten("{ host: 'app.internal:8080', strip_prefix: /a }", "/a/b").await.unwrap();
    let hosts: Vec<_> = exchange.request_headers().get_all("host").iter().collect();
    assert_eq!(hosts, ["app.internal:8080"]);
    assert_eq!(exchange.target(), "/b");
}

#[test]
fn hosts_are_one_name_or_address_with_or_without_a_port() {
    for text in ["a.example.com", "a:80", "10.0.0.1:1", "[::1]", "[::1]:443", "A.Example"] {
        assert_eq!(text.parse::<ForwardedHost>().unwrap().to_string(), text);
    }
    let refused =
        ["", ":80", "a:", "a:0", "a:+80", "a:65536", "a:b", "*.a", "http://a", "a/b", "::1", "a b", "a@b"];
    for text in refused {
        assert!(text.parse::<ForwardedHost>().is_err(), "{text:?}");
    }
}

#[test]
fn settings_that_make_no_sense_are_refused_at_their_key() {
    let cases: [(&str, &[&str], &str); 6] = [
        ("{}", &[], "nothing to do"),
        ("{ strip_prefix: /a, path: { regex: a, to: /b } }", &[], "exclude each other"),
        ("path: { regex: '^/(.*)', to: '/$1x' }", &["path", "to"], "no group `1x`"),
        ("path: { regex: '^/(.*)', to: '/${2}' }", &["path", "to"], "$0 to $1"),
        ("path: { regex: '^/a', to: '/a?b=c' }", &["path", "to"], "the query is kept"),
        ("path: { regex: '^/a', to: '/a#b' }", &["path", "to"], "no `#`"),
    ];
    for (yaml, key, expected) in cases {
        let (found_key, message, _) = build(yaml).unwrap_err().into_parts();
        assert_eq!(found_key, key, "{yaml}");
        assert!(message.contains(expected), "{yaml}: {message}");
    }
    let read =
        |yaml: &str| serde_yaml::from_str::<RewriteSettings>(yaml).map(drop).map_err(|e| e.to_string());
    assert!(read("strip_prefix: /").unwrap_err().contains("strips nothing"));
    assert!(read("strip_prefix: api").unwrap_err().contains("starts with `/`"));
    assert!(read("path: { regex: '(' , to: / }").unwrap_err().contains("not a regular expression"));
    assert!(read("path: /x").is_err());
}

#[test]
fn says_what_it_does() {
    let describe = |yaml: &str| build(yaml).unwrap().describe();
    assert_eq!(describe("{ strip_prefix: /api/, host: a }"), "strip /api, host a");
    assert_eq!(describe("path: { regex: ^/a, to: /b }"), "path ^/a to /b");
}

proptest! {
    #[test]
    fn what_is_forwarded_is_always_in_canonical_form(
        path in "/[a-z0-9%./;~-]{0,16}", to in "[a-z/.$1]{0,6}", prefix in "/[a-z]{1,2}",
    ) {
        let Ok(canonical) = normalise_path(&path) else { return Ok(()) };
        let path = canonical.unwrap_or(path);
        let regex = Regex::new("^/[a-z]*(/?[^/]*)").unwrap();
        for change in [PathChange::Replace(regex, to), PathChange::Strip(prefix.parse().unwrap())] {
            if let Ok(Some(forwarded)) = change.apply(&path) {
                prop_assert_eq!(normalise_path(&forwarded), Ok(None), "{} by {:?}", path, change);
            }
        }
    }
}
