use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use async_trait::async_trait;
use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_ENCODING, HOST};
use http::{Request, StatusCode};
use tokio::select;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::hooks::{FetchLimits, Job, JobCx};
use crate::types::{jittered, with_random};

use super::JwksSettings;
use super::keys::{KeySet, MOST_BYTES};
use super::refusal::Refusal;
use super::source::Unverified;
use super::token::Token;

/// A key set of a server, which a job keeps fresh: fetched every `refresh`, and when a token names a key that is not there,
/// though not sooner than `min_refresh` after the last time. While the server is gone, the last set counts.
pub(super) struct FreshKeys {
    settings: JwksSettings,
    keys: ArcSwapOption<KeySet>,
    rounds: watch::Sender<Round>,
    /// That somebody has shown a token with a key that is not there.
    wanted: Notify,
}

/// How far the job is.
#[derive(Clone, Copy)]
struct Round {
    /// How many fetches are over, however they ended.
    over: u64,
    is_under_way: bool,
    /// When the next may begin because it is wanted.
    next: Instant,
}

/// How soon a server is asked again that did not answer; twice as late each time, up to `min_refresh`.
const AGAIN: Duration = Duration::from_secs(1);

impl FreshKeys {
    pub(super) fn new(settings: JwksSettings) -> Self {
        // The job is about to begin.
        let first = Round { over: 0, is_under_way: true, next: Instant::now() };
        Self {
            settings,
            keys: ArcSwapOption::empty(),
            rounds: watch::Sender::new(first),
            wanted: Notify::new(),
        }
    }

    /// As [`KeySet::verify`], with the keys as they are now, or as they will be in a moment.
    pub(super) async fn verify(&self, token: &Token<'_>, now: Instant) -> Result<(), Unverified> {
        if self.keys.load().is_none() {
            self.renewed(now).await;
        }
        match self.verify_now(token) {
            Err(Unverified::Refused(Refusal::UnknownKey)) if self.renewed(now).await => {
                self.verify_now(token)
            }
            result => result,
        }
    }

    fn verify_now(&self, token: &Token<'_>) -> Result<(), Unverified> {
        let keys = self.keys.load_full().ok_or(Unverified::NoKeys)?;
        keys.verify(token).map_err(Unverified::Refused)
    }

    /// Waits for a fetch that is under way, or that may begin now. Whether there was one.
    async fn renewed(&self, now: Instant) -> bool {
        let mut rounds = self.rounds.subscribe();
        let seen = *rounds.borrow_and_update();
        if !seen.is_under_way {
            if now < seen.next {
                return false;
            }
            self.wanted.notify_one();
        }
        let over = rounds.wait_for(|round| round.over > seen.over);
        matches!(timeout(self.settings.timeout.get(), over).await, Ok(Ok(_)))
    }

    /// One fetch, and the pause after it; how many have failed in a row.
    async fn round(&self, fetch: impl Future<Output = Result<KeySet, String>>, failed: u32) -> u32 {
        self.rounds.send_modify(|round| round.is_under_way = true);
        let failed = match fetch.await {
            Ok(keys) => {
                self.keys.store(Some(Arc::new(keys)));
                0
            }
            Err(error) => {
                let failed = failed.saturating_add(1);
                self.tell(failed, &error);
                failed
            }
        };
        let (next, again) = self.pauses(failed);
        self.rounds.send_modify(|round| {
            *round = Round { over: round.over + 1, is_under_way: false, next };
        });
        let wanted = async {
            sleep_until(next).await;
            self.wanted.notified().await;
        };
        select! {
            () = sleep(again) => {}
            () = wanted => {}
        }
        failed
    }

    /// When the next fetch may begin because it is wanted, and after which time it begins by itself.
    fn pauses(&self, failed: u32) -> (Instant, Duration) {
        let least = self.settings.min_refresh.get();
        let again = match failed {
            0 => self.settings.refresh.get(),
            _ => AGAIN.saturating_mul(1 << failed.min(12)).min(least),
        };
        let again = with_random(|random| jittered(again, random));
        (Instant::now() + least.min(again), again)
    }

    /// Once when a server begins to fail, and then ever more seldom.
    fn tell(&self, failed: u32, error: &str) {
        let JwksSettings { pool, path, .. } = &self.settings;
        match self.keys.load().is_some() {
            _ if !failed.is_power_of_two() => {}
            true => log::warn!(
                "keys of tokens could not be fetched, the last ones count pool={pool} path={path} error={error:?}"
            ),
            false => log::error!(
                "keys of tokens could not be fetched, there are none pool={pool} path={path} error={error:?}"
            ),
        }
    }

    async fn fetch(&self, cx: &JobCx) -> Result<KeySet, String> {
        let client = cx.client(&self.settings.pool).ok_or("there is no such pool any more")?;
        let limits =
            FetchLimits { total: self.settings.timeout.get(), body: MOST_BYTES, ..FetchLimits::default() };
        let request =
            Request::get(&self.settings.path).header(ACCEPT, "application/jwk-set+json, application/json");
        let request = match &self.settings.host {
            Some(host) => request.header(HOST, host),
            None => request,
        };
        let request = request.body(Bytes::new()).map_err(|error| error.to_string())?;
        let answer = client.send(request, limits).await.map_err(|error| error.to_string())?;
        if answer.status != StatusCode::OK {
            return Err(format!("the answer is {}", answer.status));
        }
        if let Some(coding) = answer.headers.get(CONTENT_ENCODING) {
            return Err(format!("the answer is coded: {coding:?}"));
        }
        KeySet::parse(&answer.body)
    }
}

#[async_trait]
impl Job for FreshKeys {
    async fn run(&self, cx: &JobCx) {
        let mut failed = 0;
        loop {
            failed = self.round(self.fetch(cx), failed).await;
        }
    }
}

impl fmt::Display for FreshKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.settings.pool, self.settings.path)
    }
}

impl fmt::Debug for FreshKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FreshKeys").field("settings", &self.settings).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
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
            let settings = serde_yaml::from_str("{ pool: idp, path: /jwks }").unwrap();
            let (keys, fetches) = (Arc::new(FreshKeys::new(settings)), Arc::<AtomicUsize>::default());
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
                            KeySet::parse(format!("{{\"keys\":[{keys}]}}").as_bytes())
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
        for answer in [gone(), Ok(vec![]), Ok(vec!["1".to_owned()])] {
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
        let settings = serde_yaml::from_str("{ pool: idp, path: /jwks }").unwrap();
        let nobody_fetches = FreshKeys::new(settings);
        let (token, begun) = (issuer.token("{}"), Instant::now());
        let result = nobody_fetches.verify(&Token::parse(token.as_bytes()).unwrap(), begun).await;
        assert_eq!((result, begun.elapsed()), (Err(Unverified::NoKeys), 2 * SECOND));
    }
}
