use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use tokio::task::JoinHandle;
use tokio::time::advance;

use super::*;
use crate::filters::jwt::issuer::Issuer;

/// A server, whose answers the test chooses, and the keys that are had from it.
struct Server {
    keys: Arc<FreshKeys>,
    fetches: Arc<AtomicUsize>,
    answer: Arc<Mutex<Result<Vec<String>, String>>>,
    job: JoinHandle<()>,
}

/// How long the server takes.
const TAKES: Duration = Duration::from_millis(500);

impl Server {
    fn new(answer: Result<Vec<String>, String>) -> Self {
        Self::with(answer, Arc::default())
    }

    fn with(answer: Result<Vec<String>, String>, last: Arc<LastSet>) -> Self {
        let keys = Arc::new(FreshKeys::new(place(), settings(), algorithms(), last));
        let fetches = Arc::<AtomicUsize>::default();
        let answer = Arc::new(Mutex::new(answer));
        let job = tokio::spawn({
            let (keys, fetches, answer) = (keys.clone(), fetches.clone(), answer.clone());
            async move {
                let mut failed = 0;
                loop {
                    let fetch = async {
                        fetches.fetch_add(1, Ordering::Relaxed);
                        sleep(TAKES).await;
                        let keys = answer.lock().clone()?.join(",");
                        Ok(Bytes::from(format!("{{\"keys\":[{keys}]}}")))
                    };
                    failed = keys.round(fetch, failed).await;
                }
            }
        });
        Self { keys, fetches, answer, job }
    }

    fn answers(&self, answer: Result<Vec<String>, String>) {
        *self.answer.lock() = answer;
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::Relaxed)
    }

    /// What becomes of a token, and how long that takes.
    async fn ask(&self, issuer: &Issuer) -> (Result<(), Unverified>, Duration) {
        let (token, begun) = (issuer.token("{}"), Instant::now());
        let result = self.keys.verify(&Token::parse(token.as_bytes()).unwrap(), begun).await;
        (result, begun.elapsed())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.job.abort();
    }
}

fn settings() -> JwksSettings {
    serde_yaml::from_str("{ pool: idp, path: /jwks }").unwrap()
}

fn place() -> Place {
    Place::Pool { pool: "idp".parse().unwrap(), path: "/jwks".parse().unwrap(), host: None }
}

fn algorithms() -> Vec<JwtAlgorithm> {
    vec!["EdDSA".parse().unwrap(), "ES256".parse().unwrap()]
}

fn gone() -> Result<Vec<String>, String> {
    Err("gone".to_owned())
}

const UNKNOWN: Result<(), Unverified> = Err(Unverified::Refused(Refusal::UnknownKey));
const SECOND: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn the_first_keys_are_waited_for_and_fetched_once_for_all() {
    let issuer = Issuer::new("EdDSA", "a");
    let server = Server::new(Ok(vec![issuer.jwk()]));
    let (one, other) = tokio::join!(server.ask(&issuer), server.ask(&issuer));
    assert_eq!([one, other], [(Ok(()), TAKES); 2]);
    assert_eq!(server.ask(&issuer).await, (Ok(()), Duration::ZERO));
    assert_eq!(server.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_not_there_are_asked_for_once_in_a_while() {
    let [old, new] = ["a", "b"].map(|id| Issuer::new("EdDSA", id));
    let server = Server::new(Ok(vec![old.jwk()]));
    assert_eq!(server.ask(&old).await.0, Ok(()));
    server.answers(Ok(vec![old.jwk(), new.jwk()]));
    // The last time is too near.
    for _ in 0..1000 {
        assert_eq!(server.ask(&new).await, (UNKNOWN, Duration::ZERO));
    }
    assert_eq!(server.fetches(), 1);
    advance(30 * SECOND).await;
    let (one, other) = tokio::join!(server.ask(&new), server.ask(&new));
    assert_eq!([one, other], [(Ok(()), TAKES); 2]);
    assert_eq!(server.fetches(), 2);
    let made_up = new.with_id("c");
    advance(31 * SECOND).await;
    for _ in 0..1000 {
        assert_eq!(server.ask(&made_up).await.0, UNKNOWN);
    }
    assert_eq!(server.fetches(), 3);
}

#[tokio::test(start_paused = true)]
async fn keys_are_fetched_again_by_themselves_and_go() {
    let [old, new] = ["a", "b"].map(|id| Issuer::new("EdDSA", id));
    let server = Server::new(Ok(vec![old.jwk()]));
    assert_eq!(server.ask(&old).await.0, Ok(()));
    server.answers(Ok(vec![new.jwk()]));
    // Within a tenth of an hour.
    sleep(67 * 60 * SECOND).await;
    assert_eq!((server.ask(&new).await, server.fetches()), ((Ok(()), Duration::ZERO), 2));
    assert_eq!(server.ask(&old).await.0, UNKNOWN);
}

#[tokio::test(start_paused = true)]
async fn the_last_keys_count_while_the_server_is_gone() {
    let issuer = Issuer::new("EdDSA", "a");
    let server = Server::new(Ok(vec![issuer.jwk()]));
    assert_eq!(server.ask(&issuer).await.0, Ok(()));
    let useless = Issuer::new("ES384", "a").jwk();
    for answer in [gone(), Ok(vec![]), Ok(vec!["1".to_owned()]), Ok(vec![useless])] {
        server.answers(answer);
        sleep(2 * 3600 * SECOND).await;
        assert_eq!(server.ask(&issuer).await, (Ok(()), Duration::ZERO));
    }
    assert!(server.fetches() > 100, "{}", server.fetches());
}

#[tokio::test(start_paused = true)]
async fn without_any_keys_nobody_waits_for_a_server_that_is_gone() {
    let issuer = Issuer::new("EdDSA", "a");
    let server = Server::new(gone());
    assert_eq!(server.ask(&issuer).await, (Err(Unverified::NoKeys), TAKES));
    assert_eq!(server.ask(&issuer).await, (Err(Unverified::NoKeys), Duration::ZERO));
    server.answers(Ok(vec![issuer.jwk()]));
    sleep(3 * SECOND + TAKES).await;
    assert_eq!(server.ask(&issuer).await, (Ok(()), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_no_longer_than_it_may() {
    let issuer = Issuer::new("EdDSA", "a");
    let nobody_fetches = FreshKeys::new(place(), settings(), algorithms(), Arc::default());
    let (token, begun) = (issuer.token("{}"), Instant::now());
    let result = nobody_fetches.verify(&Token::parse(token.as_bytes()).unwrap(), begun).await;
    assert_eq!((result, begun.elapsed()), (Err(Unverified::NoKeys), 2 * SECOND));
}

#[tokio::test(start_paused = true)]
async fn the_next_one_begins_with_the_last_keys_though_the_server_is_gone() {
    let issuer = Issuer::new("EdDSA", "a");
    let last = Arc::<LastSet>::default();
    let server = Server::with(Ok(vec![issuer.jwk()]), last.clone());
    assert_eq!(server.ask(&issuer).await.0, Ok(()));
    drop(server);
    let server = Server::with(gone(), last);
    assert_eq!(server.ask(&issuer).await, (Ok(()), Duration::ZERO));
    sleep(60 * SECOND).await;
    assert!(server.fetches() > 1);
    assert_eq!(server.ask(&issuer).await, (Ok(()), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_too_old_count_no_more() {
    let issuer = Issuer::new("EdDSA", "a");
    let server = Server::new(Ok(vec![issuer.jwk()]));
    assert_eq!(server.ask(&issuer).await.0, Ok(()));
    server.answers(gone());
    sleep(23 * 3600 * SECOND).await;
    assert_eq!(server.ask(&issuer).await.0, Ok(()));
    sleep(3601 * SECOND).await;
    assert_eq!(server.ask(&issuer).await.0, Err(Unverified::NoKeys));
    server.answers(Ok(vec![issuer.jwk()]));
    sleep(60 * SECOND).await;
    assert_eq!(server.ask(&issuer).await, (Ok(()), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn keys_for_other_algorithms_are_not_begun_with() {
    let (issuer, last) = (Issuer::new("ES384", "a"), Arc::<LastSet>::default());
    let text = Bytes::from(format!("{{\"keys\":[{}]}}", issuer.jwk()));
    last.set(Arc::new(FetchedSet::parse(text, Instant::now()).unwrap()));
    let server = Server::with(gone(), last);
    assert_eq!(server.ask(&issuer).await, (Err(Unverified::NoKeys), TAKES));
}
