use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;

use crate::support::issuer::{Issuer, signed_by_secret};
use crate::support::{Edge, Endpoint, Response, eventually};

use super::{filtered, http2};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const FILTER: &str = "{ jwt: { algorithms: HS256, keys: { secret: 0123456789abcdef0123456789abcdef }, \
                      issuer: https://idp.example, audience: api, to_headers: { X-User: sub }, \
                      from: [{ header: Authorization }, { query: token }] } }";

/// Claims for this subject, which are right for another minute.
pub(super) fn claims(subject: &str) -> String {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let expires = (now + Duration::from_secs(60)).as_secs();
    format!("{{\"sub\":\"{subject}\",\"iss\":\"https://idp.example\",\"aud\":\"api\",\"exp\":{expires}}}")
}

fn secret_token(subject: &str) -> String {
    signed_by_secret(SECRET.as_bytes(), r#"{"alg":"HS256"}"#, &claims(subject))
}

async fn ask(edge: &Edge, target: &str, fields: &str) -> Response {
    edge.send(&format!("GET {target} HTTP/1.1\r\nHost: a\r\n{fields}\r\n")).await
}

pub(super) async fn bear(edge: &Edge, token: &str) -> u16 {
    ask(edge, "/", &format!("Authorization: Bearer {token}\r\n")).await.status
}

#[tokio::test]
async fn endpoints_and_logs_see_who_it_is_and_not_the_token() {
    let endpoint = Endpoint::answering("ok").await;
    let edge = Edge::start(&filtered(endpoint.address(), FILTER)).await;
    let (token, spoofed) = (secret_token("ada"), "X-User: root\r\nx_user: root\r\nX-USER: root\r\n");
    for (target, fields) in [
        ("/a?b=1".to_owned(), format!("Authorization: Bearer {token}\r\n")),
        ("/a?b=1".to_owned(), format!("aUTHORIZATION: bearer   {token}  \r\n")),
        (format!("/a?b=1&token={token}"), String::new()),
        (format!("/a?%74oken={token}&b=1"), String::new()),
    ] {
        let response = ask(&edge, &target, &format!("{fields}{spoofed}")).await;
        assert_eq!(response.status, 200, "{target} {fields}");
        let seen = endpoint.last();
        assert_eq!((seen.path(), &seen.headers("x-user")[..]), ("/a?b=1", &["ada"][..]));
        assert!(seen.header("x_user").is_none() && !seen.head.contains(&token[..20]), "{}", seen.head);
    }
    let log = edge.log_of(4).await;
    assert!(log.iter().all(|line| line["target"] == "/a?b=1"), "{log:?}");
}

#[tokio::test]
async fn nothing_but_a_token_of_the_issuer_lets_in() {
    let endpoint = Endpoint::answering("ok").await;
    let edge = Edge::start(&filtered(endpoint.address(), FILTER)).await;
    let good = secret_token("ada");
    let other = secret_token("eve");
    let signed = good.rsplit_once('.').unwrap().0;
    for (target, fields) in [
        ("/", String::new()),
        ("/", "Authorization: Bearer\r\n".to_owned()),
        ("/", format!("Authorization: {good}\r\n")),
        ("/", format!("Authorization: Basic {good}\r\n")),
        ("/", format!("Authorization: Bearer {signed}.\r\n")),
        ("/", format!("Authorization: Bearer {signed}\r\n")),
        ("/", format!("Authorization: Bearer {good}=\r\n")),
        ("/", format!("Authorization: Bearer {good}\r\nAuthorization: Bearer {other}\r\n")),
        ("/", format!("Authorization: Bearer {good}, Bearer {other}\r\n")),
        ("/?token=x", format!("Authorization: Bearer {good}\r\n")),
        ("/", format!("Proxy-Authorization: Bearer {good}\r\n")),
        ("/", format!("X-Authorization: Bearer {good}\r\nX_User: ada\r\n")),
        ("/", format!("Connection: Authorization\r\nAuthorization: Bearer {good}\r\n")),
        ("/", format!("Cookie: token={good}\r\n")),
        ("/", "X-User: ada\r\n".to_owned()),
        ("/", "Connection: upgrade\r\nUpgrade: websocket\r\n".to_owned()),
    ] {
        let response = ask(&edge, target, &fields).await;
        assert_eq!(response.status, 401, "{target} {fields}");
        assert!(response.header("www-authenticate").unwrap().starts_with("Bearer"));
    }
    let token = signed_by_secret(SECRET.as_bytes(), r#"{"alg":"none"}"#, &claims("ada"));
    assert_eq!(ask(&edge, "/", &format!("Authorization: Bearer {token}\r\n")).await.status, 401);
    let expired = claims("ada").replace("\"exp\":", "\"exp\":1,\"x\":");
    let expired = signed_by_secret(SECRET.as_bytes(), r#"{"alg":"HS256"}"#, &expired);
    let response = ask(&edge, "/", &format!("Authorization: Bearer {expired}\r\n")).await;
    assert_eq!(response.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    assert!(endpoint.requests().is_empty());
    assert_eq!(edge.log_of(18).await[17]["cause"], "jwt_expired");
}

#[tokio::test]
async fn every_stream_of_http2_is_judged_on_its_own() {
    let endpoint = Endpoint::answering("ok").await;
    let edge = Edge::start(&filtered(endpoint.address(), FILTER)).await;
    let requests = http2::connect(&edge).await;
    let (good, other) =
        (format!("Bearer {}", secret_token("ada")), format!("Bearer {}", secret_token("eve")));
    let (good, other) = (("authorization", good.as_str()), ("authorization", other.as_str()));
    for (fields, expected) in [
        (&[good][..], 200),
        (&[][..], 401),
        (&[good, other][..], 401),
        (&[("x-user", "ada")][..], 401),
        (&[other][..], 200),
    ] {
        assert_eq!(http2::status(&requests, fields).await, expected, "{fields:?}");
    }
}

#[tokio::test]
async fn what_is_answered_to_one_is_not_stored_for_others() {
    let endpoint = Endpoint::with(|request| {
        let user = request.header("x-user").unwrap().to_owned();
        let cache = if request.path() == "/all" { "public, max-age=60" } else { "max-age=60" };
        format!("HTTP/1.1 200 OK\r\nCache-Control: {cache}\r\nContent-Length: {}\r\n\r\n{user}", user.len())
    })
    .await;
    let filters = format!("{FILTER}, {{ cache: {{ in: main }} }}");
    let config = filtered(endpoint.address(), &filters);
    let edge = Edge::start(&format!("server: {{ caches: {{ main: {{}} }} }}\n{config}")).await;
    let told = async |path: &str, subject: &str| {
        let fields = format!("Authorization: Bearer {}\r\n", secret_token(subject));
        ask(&edge, path, &fields).await.text().to_owned()
    };
    assert_eq!((told("/", "ada").await, told("/", "eve").await), ("ada".to_owned(), "eve".to_owned()));
    // What is for all is stored, and given to nobody who may not come in.
    assert_eq!((told("/all", "ada").await, told("/all", "eve").await), ("ada".to_owned(), "ada".to_owned()));
    assert_eq!(ask(&edge, "/all", "").await.status, 401);
}

/// A server with a JWK set that tests change, and an edge that takes its keys from there.
struct Site {
    set: Arc<Mutex<String>>,
    is_up: Arc<AtomicBool>,
    idp: Option<Endpoint>,
    app: Endpoint,
    edge: Edge,
    config: String,
}

impl Site {
    async fn start(issuers: &[&Issuer], is_up: bool, jwks: &str) -> Self {
        let set = Arc::new(Mutex::new(jwk_set(issuers)));
        let is_up = Arc::new(AtomicBool::new(is_up));
        let idp = Endpoint::with({
            let (set, is_up) = (set.clone(), is_up.clone());
            move |_| {
                let (status, body) = match is_up.load(Ordering::Relaxed) {
                    true => ("200 OK", set.lock().clone()),
                    false => ("503 Gone", String::new()),
                };
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
            }
        })
        .await;
        let app = Endpoint::answering("ok").await;
        let config = format!(
            "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
             pools:\n  app: {{ endpoints: ['{}'] }}\n  idp: {{ endpoints: ['{}'] }}\n\
             routes: [{{ pool: app, filters: [{{ jwt: {{ algorithms: [RS256, ES256], audience: api, \
             to_headers: {{ X-User: sub }}, keys: {{ jwks: {{ pool: idp, path: '/jwks?x=1', {jwks} }} }} }} }}] }}]\n\
             log: {{ access: {{ to: LOG }} }}\n",
            app.address(),
            idp.address()
        );
        let edge = Edge::start(&config).await;
        Self { set, is_up, idp: Some(idp), app, edge, config }
    }

    fn publish(&self, issuers: &[&Issuer]) {
        *self.set.lock() = jwk_set(issuers);
    }

    fn fetches(&self) -> usize {
        self.idp.as_ref().map_or(0, |idp| idp.requests().len())
    }
}

pub(super) fn jwk_set(issuers: &[&Issuer]) -> String {
    let keys: Vec<_> = issuers.iter().map(|issuer| issuer.jwk()).collect();
    format!("{{\"keys\":[{}]}}", keys.join(","))
}

#[tokio::test]
async fn keys_of_a_server_are_fetched_once_and_again_when_one_is_missing() {
    let (old, new) = (Issuer::new("RS256", "old"), Issuer::new("ES256", "new"));
    let site = Site::start(&[&old], true, "min_refresh: 1s").await;
    for _ in 0..5 {
        assert_eq!(bear(&site.edge, &old.token(&claims("ada"))).await, 200);
    }
    assert_eq!(site.app.last().headers("x-user"), ["ada"]);
    assert_eq!(site.fetches(), 1);
    assert_eq!(site.idp.as_ref().unwrap().last().path(), "/jwks?x=1");
    site.publish(&[&old, &new]);
    eventually("the new key is found", async || bear(&site.edge, &new.token(&claims("eve"))).await == 200)
        .await;
    assert_eq!((site.fetches(), site.app.last().headers("x-user")), (2, vec!["eve"]));
    // Public keys are no secrets, and a key of the set signs for its own algorithm only.
    let forged = signed_by_secret(old.jwk().as_bytes(), r#"{"alg":"HS256","kid":"old"}"#, &claims("ada"));
    assert_eq!(bear(&site.edge, &forged).await, 401);
    assert_eq!(bear(&site.edge, &new.with_id("old").token(&claims("ada"))).await, 401);
    let header =
        r#"{"alg":"ES256","kid":"x","jwk":{},"jku":"http://127.0.0.1:1/","x5u":"http://127.0.0.1:1/"}"#;
    assert_eq!(
        bear(&site.edge, &Issuer::new("ES256", "x").token_with_header(header, &claims("ada"))).await,
        401
    );
}

#[tokio::test]
async fn tokens_with_made_up_keys_do_not_reach_the_server() {
    let issuer = Issuer::new("ES256", "a");
    let site = Site::start(&[&issuer], true, "min_refresh: 1h").await;
    assert_eq!(bear(&site.edge, &issuer.token(&claims("ada"))).await, 200);
    for n in 0..200 {
        let token = issuer.with_id(&format!("made-up-{n}")).token(&claims("ada"));
        assert_eq!(bear(&site.edge, &token).await, 401);
    }
    assert_eq!((site.fetches(), site.app.requests().len()), (1, 1));
}

#[tokio::test]
async fn without_keys_nobody_is_let_in_and_with_them_everybody_who_may() {
    let issuer = Issuer::new("ES256", "a");
    let site = Site::start(&[&issuer], false, "timeout: 1s").await;
    let token = issuer.token(&claims("ada"));
    assert_eq!(bear(&site.edge, &token).await, 503);
    assert_eq!(site.edge.log_of(1).await[0]["cause"], "jwt_keys_unavailable");
    assert!(site.app.requests().is_empty());
    assert_eq!(ask(&site.edge, "/", "").await.status, 401);
    site.is_up.store(true, Ordering::Relaxed);
    eventually("the keys are there", async || bear(&site.edge, &token).await == 200).await;
}

#[tokio::test]
async fn the_last_keys_count_while_their_server_is_gone_also_after_a_reload() {
    let issuer = Issuer::new("ES256", "a");
    let mut site = Site::start(&[&issuer], true, "min_refresh: 1s").await;
    let token = issuer.token(&claims("ada"));
    assert_eq!(bear(&site.edge, &token).await, 200);
    let asked = site.fetches();
    site.is_up.store(false, Ordering::Relaxed);
    let unknown = issuer.with_id("b").token(&claims("ada"));
    eventually("the server was asked in vain", async || {
        assert_eq!(bear(&site.edge, &unknown).await, 401);
        site.fetches() > asked
    })
    .await;
    drop(site.idp.take());
    assert_eq!(bear(&site.edge, &token).await, 200);
    site.edge.reload(&format!("{}\nserver: {{ zone: other }}\n", site.config)).await;
    assert_eq!(bear(&site.edge, &token).await, 200);
    // Also where they are to be fetched at other times.
    site.edge.reload(&site.config.replace("min_refresh: 1s", "min_refresh: 2s, refresh: 2h")).await;
    assert_eq!(bear(&site.edge, &token).await, 200);
}

#[tokio::test]
async fn keys_of_a_file_change_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let [old, new] = ["old", "new"].map(|id| Issuer::new("EdDSA", id));
    std::fs::write(&file, jwk_set(&[&old])).unwrap();
    let endpoint = Endpoint::answering("ok").await;
    let filter =
        format!("{{ jwt: {{ algorithms: EdDSA, audience: api, keys: {{ file: '{}' }} }} }}", file.display());
    let edge = Edge::start(&filtered(endpoint.address(), &filter)).await;
    assert_eq!(bear(&edge, &old.token(&claims("ada"))).await, 200);
    assert_eq!(bear(&edge, &new.token(&claims("ada"))).await, 401);
    std::fs::write(&file, jwk_set(&[&new])).unwrap();
    eventually("the new key counts", async || bear(&edge, &new.token(&claims("ada"))).await == 200).await;
    assert_eq!(bear(&edge, &old.token(&claims("ada"))).await, 401);
    std::fs::remove_file(&file).unwrap();
    assert_eq!(bear(&edge, &new.token(&claims("ada"))).await, 200);
}

#[tokio::test]
async fn a_file_without_a_key_for_the_algorithms_takes_nothing_away() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("jwks.json");
    let (old, other) = (Issuer::new("EdDSA", "old"), Issuer::new("ES256", "other"));
    std::fs::write(&file, jwk_set(&[&old])).unwrap();
    let endpoint = Endpoint::answering("ok").await;
    let filter = |algorithms: &str| {
        let file = file.display();
        format!("{{ jwt: {{ algorithms: {algorithms}, audience: api, keys: {{ file: '{file}' }} }} }}")
    };
    let edge = Edge::start(&format!(
        "listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}\n\
         pools: {{ app: {{ endpoints: ['{}'] }} }}\n\
         routes:\n- {{ match: {{ path: /both }}, pool: app, filters: [{}] }}\n- {{ pool: app, filters: [{}] }}\n",
        endpoint.address(),
        filter("[EdDSA, ES256]"),
        filter("EdDSA")
    ))
    .await;
    let bear = async |target: &str, issuer: &Issuer| {
        let token = issuer.token(&claims("ada"));
        ask(&edge, target, &format!("Authorization: Bearer {token}\r\n")).await.status
    };
    assert_eq!((bear("/both", &old).await, bear("/", &old).await), (200, 200));
    std::fs::write(&file, jwk_set(&[&other])).unwrap();
    eventually("the file is read again", async || bear("/both", &other).await == 200).await;
    assert_eq!((bear("/both", &old).await, bear("/", &old).await, bear("/", &other).await), (401, 200, 401));
}
