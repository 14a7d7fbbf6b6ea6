//! Requests that wait, and leases that end, while the configuration changes.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use parking_lot::RwLock;

use crate::pools::testing::successor;

use super::waiting::{settle, spawn_wait, wait};
use super::*;

const SMALL: &str = ", max_requests: 1, queue: { size: 20, timeout: 10s }";

fn reload(stage: &mut Stage, endpoints: &[&str], keys: &str) {
    let next = successor(&stage.pool, endpoints, keys, stage.now);
    next.take_over(stage.now);
    stage.pool = next;
}

#[tokio::test(start_paused = true)]
async fn those_that_wait_outlast_two_changes_in_their_order() {
    let mut stage = Stage::new(&THREE[..1], SMALL);
    let busy = stage.lease();
    let mut waiting = Vec::new();
    for _ in 0..3 {
        waiting.push(spawn_wait(&stage));
        settle().await;
        reload(&mut stage, &THREE[..1], SMALL);
    }
    assert_eq!(stage.pool.waiting(), 3);
    let mut place = busy;
    for (served, next) in waiting.into_iter().enumerate() {
        drop(place);
        place = next.await.unwrap().unwrap();
        assert!(Arc::ptr_eq(place.endpoint(), stage.endpoint(0)), "a place of the newest generation");
        assert_eq!((stage.pool.waiting(), stage.pool.in_flight()), (2 - served, 1));
    }
    drop(place);
    assert_eq!(stage.pool.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_comes_serves_those_that_wait() {
    let mut stage = Stage::new(&THREE[..1], SMALL);
    let removed = stage.lease();
    let waits = spawn_wait(&stage);
    settle().await;
    reload(&mut stage, &THREE[1..2], SMALL);
    let place = waits.await.unwrap().unwrap();
    assert!(Arc::ptr_eq(place.endpoint(), stage.endpoint(0)));
    let waits = spawn_wait(&stage);
    settle().await;
    drop(removed);
    settle().await;
    assert!(!waits.is_finished(), "nobody is sent to an address that is removed");
    drop(place);
    drop(waits.await.unwrap().unwrap());
    assert_eq!((stage.pool.in_flight(), stage.pool.waiting()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_lower_limit_is_reached_before_places_are_handed_over() {
    let keys = |limit: usize| format!(", max_requests: {limit}, queue: {{ size: 9, timeout: 10s }}");
    let mut stage = Stage::new(&THREE[..1], &keys(3));
    let mut busy: Vec<_> = (0..3).map(|_| stage.lease()).collect();
    reload(&mut stage, &THREE[..1], &keys(1));
    let waits = spawn_wait(&stage);
    settle().await;
    for left in [2, 1] {
        busy.pop();
        settle().await;
        assert_eq!((waits.is_finished(), stage.pool.in_flight()), (false, left));
    }
    busy.pop();
    let place = waits.await.unwrap().unwrap();
    let waits = spawn_wait(&stage);
    settle().await;
    reload(&mut stage, &THREE[..1], &keys(2));
    assert!(waits.await.unwrap().is_ok(), "a higher one is room at once");
    drop(place);
    assert_eq!(stage.pool.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_queue_has_the_size_and_the_patience_of_whoever_joins_it() {
    let mut stage = Stage::new(&THREE[..1], SMALL);
    let _busy = stage.lease();
    let patient = spawn_wait(&stage);
    settle().await;
    reload(&mut stage, &THREE[..1], ", max_requests: 1, queue: { size: 2, timeout: 1s }");
    let hasty = spawn_wait(&stage);
    settle().await;
    assert_eq!(wait(&stage.pool).await.unwrap_err(), crate::pools::QueueError::Full);
    let begun = Instant::now();
    assert_eq!(hasty.await.unwrap().unwrap_err(), crate::pools::QueueError::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), 1);
    assert_eq!(patient.await.unwrap().unwrap_err(), crate::pools::QueueError::TimedOut);
    assert_eq!(begun.elapsed().as_secs(), 10);
}

/// What several threads do to a pool whose configuration another one keeps changing.
struct Rush {
    newest: RwLock<Arc<Pool>>,
    is_over: AtomicBool,
    served: AtomicUsize,
}

impl Rush {
    /// Sends requests until the changes are over: some fail, some are tried again, some keep their pool for several.
    async fn send(&self, seed: u64) {
        let mut random = Random::with_seed(seed);
        while !self.is_over.load(Ordering::Relaxed) {
            let pool = self.newest.read().clone();
            for _ in 0..random.usize(1..5) {
                let lease = self.lease(&pool, &mut random).await;
                tokio::task::yield_now().await;
                if random.u8(..) < 40 {
                    pool.failed(&lease, Fault::UpstreamStatus, None, Instant::now());
                    self.try_again(&pool, lease, &mut random).await;
                } else {
                    pool.answered(&lease, LATENCY, Instant::now());
                    pool.succeeded(&lease, Instant::now());
                }
                self.served.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    async fn lease(&self, pool: &Pool, random: &mut Random) -> Lease {
        let headers = HeaderMap::new();
        let pinned = Some(random.usize(0..4)).filter(|&index| index < 2);
        match pool.pick(&pick_cx(Instant::now(), &headers), pinned, random) {
            Pick::Endpoint(lease) => lease,
            Pick::NoRoom => wait(pool).await.unwrap(),
            other => panic!("{other:?}"),
        }
    }

    async fn try_again(&self, pool: &Pool, lease: Lease, random: &mut Random) {
        let _permit = pool.permit_retry();
        let between = pool.between_attempts();
        let tried = [lease.endpoint().clone()];
        drop(lease);
        tokio::task::yield_now().await;
        let again = pool.pick_another(&tried, Instant::now(), random);
        drop(between);
        if let Some(again) = again {
            pool.succeeded(&again, Instant::now());
        }
    }

    fn change(&self, times: usize) {
        let sets: [&[&str]; 5] = [&FOUR[..2], &FOUR[1..], &["10.0.0.9:80"], FOUR, &[FOUR[3], FOUR[0]]];
        for round in 0..times {
            let limit = 1 + round % 3;
            let keys =
                format!(", max_requests: {limit}, queue: {{ size: 1000, timeout: 60s }}, slow_start: 0s");
            let now = Instant::now();
            let before = self.newest.read().clone();
            let next = successor(&before, sets[round % sets.len()], &keys, now);
            next.take_over(now);
            next.end_ejections(now + Duration::from_secs(400));
            *self.newest.write() = next;
            std::thread::yield_now();
        }
        self.is_over.store(true, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 3)]
async fn nobody_is_lost_while_generations_come_and_go() {
    let keys = ", max_requests: 2, queue: { size: 1000, timeout: 60s }";
    let rush = Arc::new(Rush {
        newest: RwLock::new(Stage::new(FOUR, keys).pool),
        is_over: AtomicBool::new(false),
        served: AtomicUsize::new(0),
    });
    let senders: Vec<_> = (0..40)
        .map(|seed| {
            let rush = rush.clone();
            tokio::spawn(async move { rush.send(seed).await })
        })
        .collect();
    let changes = {
        let rush = rush.clone();
        tokio::task::spawn_blocking(move || rush.change(1000))
    };
    changes.await.unwrap();
    for sender in senders {
        sender.await.unwrap();
    }
    let pool = rush.newest.read().clone();
    assert_eq!((pool.in_flight(), pool.waiting(), pool.retries()), (0, 0, 0));
    assert!(pool.endpoints().iter().all(|endpoint| endpoint.in_flight() == 0));
    assert!(rush.served.load(Ordering::Relaxed) > 1000);
}
