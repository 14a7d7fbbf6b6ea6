use http::header::COOKIE;
use tokio::time::Instant;

use super::*;
use crate::filters::jwt::issuer::{Issuer, signed_by_secret};
use crate::hooks::testing::{self, Exchange};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
/// The year 2200.
const CLAIMS: &str = r#"{"sub":"ada","exp":7258118400,"iss":"https://idp.example/","aud":["api","web"],
    "groups":["admin","dev"],"https://example.com/tenant":"acme","name":" root","address":{"city":"London"}}"#;
const SETTINGS: &str = "algorithms: HS256, keys: { secret: 0123456789abcdef0123456789abcdef }, \
                        issuer: https://idp.example/, audience: api";

fn build(yaml: &str) -> Result<Jwt, BuildError> {
    testing::build_among(&["app", "idp"], serde_yaml::from_str(yaml).unwrap(), Jwt::build)
}

fn token(claims: &str) -> String {
    signed_by_secret(SECRET.as_bytes(), r#"{"alg":"HS256","typ":"JWT"}"#, claims)
}

fn bearing(token: &str) -> Exchange {
    Exchange::get("/", Instant::now()).with_header("authorization", &format!("Bearer {token}"))
}

/// The status and cause of a refusal.
async fn refusal(filter: &Jwt, exchange: &mut Exchange) -> Option<(u16, String)> {
    match exchange.on_request(filter).await.unwrap() {
        Flow::Continue => None,
        Flow::Reject(rejection) => Some((rejection.status.as_u16(), rejection.cause.into_owned())),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn endpoints_and_filters_are_told_what_the_claims_say() {
    let filter = build(&format!(
        "{{ {SETTINGS}, to_headers: {{ X-User: sub, X-Groups: groups, X-Name: name, X-City: address, X-Gone: gone }}, \
         to_vars: {{ jwt.tenant: 'https://example.com/tenant', jwt.gone: gone }} }}"
    ))
    .unwrap();
    let mut exchange = bearing(&token(CLAIMS));
    for name in ["x-user", "x_user", "x-groups", "x-name", "x-city", "x-gone", "x_gone"] {
        exchange = exchange.with_header(name, "root");
    }
    assert_eq!(refusal(&filter, &mut exchange).await, None);
    let headers = exchange.request_headers();
    assert_eq!(
        (&headers["x-user"], &headers["x-groups"]),
        (&"ada".parse().unwrap(), &"admin,dev".parse().unwrap())
    );
    for gone in ["x_user", "x-name", "x-city", "x-gone", "x_gone", "authorization"] {
        assert!(headers.get(gone).is_none(), "{gone}");
    }
    assert_eq!((exchange.var("jwt.tenant"), exchange.var("jwt.gone")), (Some(&b"acme"[..]), None));
    assert_eq!(exchange.var("jwt.sub"), None);
    assert_eq!(filter.describe(), "HS256 by a secret, in header authorization");
}

#[tokio::test]
async fn the_token_is_forwarded_where_that_is_wanted() {
    let filter = build(&format!("{{ {SETTINGS}, forward: true }}")).unwrap();
    let mut exchange = bearing(&token(CLAIMS));
    assert_eq!(refusal(&filter, &mut exchange).await, None);
    assert!(exchange.request_headers().contains_key("authorization"));
    assert_eq!(exchange.var("jwt.sub"), Some(&b"ada"[..]));
}

#[tokio::test]
async fn it_may_stand_in_a_cookie_or_a_query() {
    let filter = build(&format!("{{ {SETTINGS}, from: [{{ cookie: t }}, {{ query: t }}] }}")).unwrap();
    let token = token(CLAIMS);
    let mut exchange =
        Exchange::get("/?a=1", Instant::now()).with_header("cookie", &format!("a=1; t={token}"));
    assert_eq!(refusal(&filter, &mut exchange).await, None);
    assert_eq!(exchange.request_headers()[COOKIE], "a=1");
    let mut exchange = Exchange::get(&format!("/?a=1&t={token}"), Instant::now());
    assert_eq!(refusal(&filter, &mut exchange).await, None);
    assert_eq!(exchange.target(), "/?a=1");
    let unauthorized = Some((401, "unauthorized".to_owned()));
    assert_eq!(refusal(&filter, &mut bearing(&token)).await, unauthorized);
}

#[tokio::test]
async fn no_other_token_lets_in() {
    let filter = build(&format!("{{ {SETTINGS} }}")).unwrap();
    let good = token(CLAIMS);
    assert_eq!(refusal(&filter, &mut bearing(&good)).await, None);
    for (text, cause) in [
        ("", "unauthorized"),
        ("x", "jwt_invalid"),
        (&token(&CLAIMS.replace("7258118400", "1")), "jwt_expired"),
        (&token(&CLAIMS.replace("7258118400", "\"7258118400\"")), "jwt_invalid"),
        (&token(&CLAIMS.replace("idp", "IDP")), "jwt_invalid"),
        (&token(&CLAIMS.replace("api", "apis")), "jwt_invalid"),
        (&token(&CLAIMS.replace("{\"sub\":", "{\"sub\":\"root\",\"sub\":")), "jwt_invalid"),
        (&token("[]"), "jwt_invalid"),
        (&token(""), "jwt_invalid"),
        (&signed_by_secret(b"another", r#"{"alg":"HS256"}"#, CLAIMS), "jwt_invalid"),
        (&signed_by_secret(SECRET.as_bytes(), r#"{"alg":"HS512"}"#, CLAIMS), "jwt_invalid"),
        (&signed_by_secret(SECRET.as_bytes(), r#"{"alg":"none"}"#, CLAIMS), "jwt_invalid"),
        (good.rsplit_once('.').unwrap().0, "jwt_invalid"),
        (&format!("{}.", good.rsplit_once('.').unwrap().0), "jwt_invalid"),
        (&format!("{good} {good}"), "jwt_invalid"),
        (&format!("{good},{good}"), "jwt_invalid"),
    ] {
        assert_eq!(refusal(&filter, &mut bearing(text)).await, Some((401, cause.to_owned())), "{text}");
    }
    let two = bearing(&good).with_header("authorization", &format!("Bearer {}", token("{}")));
    let basic = Exchange::get("/", Instant::now()).with_header("authorization", &format!("Basic {good}"));
    for (mut exchange, cause) in [(two, "jwt_invalid"), (basic, "unauthorized")] {
        assert_eq!(refusal(&filter, &mut exchange).await, Some((401, cause.to_owned())));
    }
    let mut lower =
        Exchange::get("/", Instant::now()).with_header("authorization", &format!("bEARER  {good}"));
    assert_eq!(refusal(&filter, &mut lower).await, None);
}

#[tokio::test]
async fn the_type_of_a_token_can_be_asked_for() {
    let filter = build(&format!("{{ {SETTINGS}, typ: AT+jwt }}")).unwrap();
    for (header, is_taken) in [
        (r#"{"alg":"HS256","typ":"at+jwt"}"#, true),
        (r#"{"alg":"HS256","typ":"application/at+jwt"}"#, true),
        (r#"{"alg":"HS256","typ":"JWT"}"#, false),
        (r#"{"alg":"HS256"}"#, false),
    ] {
        let token = signed_by_secret(SECRET.as_bytes(), header, CLAIMS);
        assert_eq!(refusal(&filter, &mut bearing(&token)).await.is_none(), is_taken, "{header}");
    }
}

#[tokio::test]
async fn keys_come_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let [rsa, ecdsa] = ["RS256", "ES256"].map(|algorithm| Issuer::new(algorithm, algorithm));
    std::fs::write(&file, format!("{{\"keys\":[{},{}]}}", rsa.jwk(), ecdsa.jwk())).unwrap();
    let yaml =
        format!("{{ algorithms: [ES256, EdDSA], audience: api, keys: {{ file: '{}' }} }}", file.display());
    let filter = build(&yaml).unwrap();
    assert_eq!(refusal(&filter, &mut bearing(&ecdsa.token(CLAIMS))).await, None);
    let invalid = Some((401, "jwt_invalid".to_owned()));
    // A key of the set, and an algorithm that is not allowed.
    assert_eq!(refusal(&filter, &mut bearing(&rsa.token(CLAIMS))).await, invalid);
    let public = rsa.jwk();
    let forged = signed_by_secret(public.as_bytes(), r#"{"alg":"HS256","kid":"RS256"}"#, CLAIMS);
    assert_eq!(refusal(&filter, &mut bearing(&forged)).await, invalid);
    std::fs::write(&file, format!("{{\"keys\":[{}]}}", rsa.jwk())).unwrap();
    let (key, message, _) = build(&yaml).unwrap_err().into_parts();
    assert_eq!(key, ["keys", "file"]);
    assert!(message.contains("no key of it is for one of the `algorithms`"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn without_keys_nobody_is_let_in() {
    let filter =
        build("{ algorithms: ES256, audience: api, keys: { jwks: { pool: idp, path: /jwks } } }").unwrap();
    let issuer = Issuer::new("ES256", "a");
    let unavailable = Some((503, "jwt_keys_unavailable".to_owned()));
    assert_eq!(refusal(&filter, &mut bearing(&issuer.token(CLAIMS))).await, unavailable);
    // What could not be taken with any key is refused without one.
    let forged = signed_by_secret(b"x", r#"{"alg":"HS256"}"#, CLAIMS);
    assert_eq!(refusal(&filter, &mut bearing(&forged)).await, Some((401, "jwt_invalid".to_owned())));
    assert_eq!(filter.describe(), "ES256 by the keys of idp/jwks, in header authorization");
}

#[test]
fn settings_that_do_not_go_together_are_refused_at_their_key() {
    let secret = "keys: { secret: 0123456789abcdef0123456789abcdef }";
    let jwks =
        |rest: &str| format!("{{ algorithms: ES256, keys: {{ jwks: {{ pool: idp, path: /k{rest} }} }} }}");
    let url = |url: &str| format!("{{ algorithms: ES256, keys: {{ jwks: {{ url: {url} }} }} }}");
    for (yaml, key, words) in [
        (format!("{{ algorithms: [HS256, RS256], {secret} }}"), &["algorithms"][..], "cannot be mixed"),
        (format!("{{ algorithms: RS256, {secret} }}"), &["keys"], "others have public keys"),
        (format!("{{ algorithms: HS512, {secret} }}"), &["keys", "secret"], "32 bytes; 64 or more"),
        ("{ algorithms: HS256, keys: {} }".to_owned(), &["keys"], "exactly one"),
        ("{ algorithms: HS256, keys: { file: x } }".to_owned(), &["keys"], "take a `secret`"),
        (
            "{ algorithms: ES256, keys: { file: x, jwks: { pool: idp, path: / } } }".to_owned(),
            &["keys"],
            "exactly",
        ),
        ("{ algorithms: ES256, keys: { file: /nonexistent } }".to_owned(), &["keys", "file"], "No such file"),
        (jwks(", refresh: 59s"), &["keys", "jwks", "refresh"], "1m to 1day"),
        (jwks(", min_refresh: 2h"), &["keys", "jwks", "min_refresh"], "1s to 1h"),
        (jwks(", refresh: 1m, min_refresh: 2m"), &["keys", "jwks", "min_refresh"], "longer than `refresh`"),
        (jwks(", timeout: 11s"), &["keys", "jwks", "timeout"], "100ms to 10s"),
        (jwks(", max_age: 1h"), &["keys", "jwks", "max_age"], "2h to 30days"),
        (jwks(", ca: x"), &["keys", "jwks", "ca"], "`tls` of the pool"),
        (jwks(", cleartext: true"), &["keys", "jwks", "cleartext"], "for a `url`"),
        (jwks(", url: 'https://a/'"), &["keys", "jwks"], "exactly one of `pool` and `url`"),
        (url("http://a.example/"), &["keys", "jwks", "url"], "anybody on the way"),
        (url("https://a.example/, path: /"), &["keys", "jwks", "path"], "stands in the `url`"),
        (url("https://a.example/, host: b"), &["keys", "jwks", "host"], "stands in the `url`"),
        (url("https://a.example/, ca: /nonexistent"), &["keys", "jwks", "ca"], "No such file"),
        (url("http://localhost/, ca: x"), &["keys", "jwks", "ca"], "for an `https:` URL"),
        (jwks("").replace(", path: /k", ""), &["keys", "jwks"], "`path` of the set in the pool is missing"),
        (jwks(" k"), &["keys", "jwks", "path"], "is no path"),
        (jwks("").replace("idp", "ipd"), &["keys", "jwks", "pool"], "no pool named `ipd`"),
        (format!("{{ {SETTINGS}, leeway: 6m }}"), &["leeway"], "0s to 5m"),
        (
            format!("{{ {SETTINGS}, to_headers: {{ Host: sub }} }}"),
            &["to_headers", "Host"],
            "cannot be changed",
        ),
        (
            format!("{{ {SETTINGS}, to_headers: {{ Authorization: sub }} }}"),
            &["to_headers", "Authorization"],
            "would be replaced",
        ),
        (format!("{{ {SETTINGS}, from: [{{ cookie: '' }}] }}"), &["from", "0", "cookie"], "no name"),
    ] {
        let (found, message, _) = build(&yaml).unwrap_err().into_parts();
        assert_eq!(found, key, "{yaml}: {message}");
        assert!(message.contains(words), "{yaml}: {message}");
    }
}
