use crate::pools::QueueError;

use super::*;

const SMALL: &str = ", max_requests: 1, queue: { size: 2, timeout: 1s }";

/// Waits as the gateway does, then says which endpoint it was.
pub(super) async fn wait(pool: &Pool) -> Result<Lease, QueueError> {
    let pick = || {
        let headers = HeaderMap::new();
        pool.pick_with_room(&pick_cx(Instant::now(), &headers), &mut Random::with_seed(3))
    };
    pool.wait_for_room(pick).await
}

pub(super) fn spawn_wait(stage: &Stage) -> tokio::task::JoinHandle<Result<Lease, QueueError>> {
    let pool = stage.pool.clone();
    tokio::spawn(async move { wait(&pool).await })
}

/// Lets the spawned tasks come to their waits.
pub(super) async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn those_that_wait_are_served_in_their_order() {
    let mut stage = Stage::new(&THREE[..1], SMALL);
    let busy = stage.lease();
    assert!(matches!(stage.pick(), Pick::NoRoom));
    let first = spawn_wait(&stage);
    settle().await;
    let second = spawn_wait(&stage);
    settle().await;
    assert_eq!(stage.pool.waiting(), 2);
    assert_eq!(wait(&stage.pool).await.unwrap_err(), QueueError::Full);
    drop(busy);
    let place = first.await.unwrap().unwrap();
    settle().await;
    assert!(!second.is_finished() && matches!(stage.pick(), Pick::NoRoom));
    drop(place);
    let place = second.await.unwrap().unwrap();
    assert_eq!((stage.pool.waiting(), stage.pool.in_flight()), (0, 1));
    drop(place);
    assert_eq!(stage.pool.in_flight(), 0);
    assert!(matches!(stage.pick(), Pick::Endpoint(_)));
}

#[tokio::test(start_paused = true)]
async fn whoever_waits_too_long_leaves_the_line() {
    let mut stage = Stage::new(&THREE[..1], SMALL);
    let busy = stage.lease();
    assert_eq!(wait(&stage.pool).await.unwrap_err(), QueueError::TimedOut);
    assert_eq!(stage.pool.waiting(), 0);
    drop(busy);
    assert_eq!(stage.pool.in_flight(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_holds_nobody_up() {
    let mut stage = Stage::new(&THREE[..1], SMALL);
    let busy = stage.lease();
    let gone = spawn_wait(&stage);
    settle().await;
    let patient = spawn_wait(&stage);
    settle().await;
    gone.abort();
    settle().await;
    drop(busy);
    assert!(patient.await.unwrap().is_ok());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_comes_back_serves_those_that_wait() {
    let mut stage = Stage::new(&THREE[..2], &format!("{SMALL}, panic: 0%"));
    stage.set_health(1, REFUSED);
    let _busy = stage.lease();
    let waits = spawn_wait(&stage);
    settle().await;
    stage.set_health(1, Health::Fit);
    assert_eq!(waits.await.unwrap().unwrap().endpoint().index(), 1);
}

#[test]
fn retries_keep_to_their_budget() {
    let mut stage = Stage::new(THREE, ", retry: { budget: 20%, budget_min: 2 }");
    let first: Vec<_> = (0..3).map_while(|_| stage.pool.permit_retry()).collect();
    assert_eq!((first.len(), stage.pool.retries()), (2, 2));
    let _requests: Vec<_> = (0..20).map(|_| stage.lease()).collect();
    let more: Vec<_> = (0..5).map_while(|_| stage.pool.permit_retry()).collect();
    assert_eq!(more.len(), 2);
    drop((first, more));
    assert_eq!(stage.pool.retries(), 0);
}

/// Panic mode: all unfit but reachable. One request is in flight, one waits; the one in flight ends.
#[tokio::test(start_paused = true)]
async fn in_panic_a_place_is_handed_over() {
    let mut stage = Stage::new(&THREE[..1], ", max_requests: 1, queue: { size: 20, timeout: 1s }");
    stage.set_health(0, FAILING);
    assert!(stage.pool.is_in_panic());
    let busy = stage.lease();
    let pool = stage.pool.clone();
    let waits = tokio::spawn(async move { wait(&pool).await.map(drop) });
    settle().await;
    drop(busy);
    assert_eq!(waits.await.unwrap(), Ok(()));
}

/// The same under steady traffic: does anybody ever get served again, once somebody waits?
#[tokio::test(start_paused = true)]
async fn in_panic_the_queue_does_not_stop_the_pool() {
    let mut stage = Stage::new(&THREE[..2], ", max_requests: 1, queue: { size: 64, timeout: 1s }");
    stage.set_health(0, FAILING);
    stage.set_health(1, FAILING);
    assert!(stage.pool.is_in_panic());
    let busy = [stage.lease(), stage.lease()];
    let mut tasks = Vec::new();
    let pool = stage.pool.clone();
    tasks.push(tokio::spawn(async move { wait(&pool).await.map(drop) }));
    settle().await;
    drop(busy);
    // 10 requests a second for a minute, each of which would take no time at all.
    let mut served = 0;
    for _ in 0..600 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stage.now = Instant::now();
        match stage.pick() {
            Pick::Endpoint(_) => served += 1,
            Pick::NoRoom => {
                let pool = stage.pool.clone();
                tasks.push(tokio::spawn(async move { wait(&pool).await.map(drop) }));
            }
            other => panic!("{other:?}"),
        }
        settle().await;
    }
    let mut late = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(()) => served += 1,
            Err(_) => late += 1,
        }
    }
    assert!(served > 500, "served {served}, refused {late}, both endpoints idle");
}

/// Two places come free before the two that found none stand in line.
#[tokio::test(start_paused = true)]
async fn both_of_two_free_places_are_found() {
    let mut stage = Stage::new(&THREE[..2], ", max_requests: 1, queue: { size: 20, timeout: 1s }");
    let busy = [stage.lease(), stage.lease()];
    assert!(matches!(stage.pick(), Pick::NoRoom)); // A
    assert!(matches!(stage.pick(), Pick::NoRoom)); // B
    drop(busy);
    // A stands in line; before its pick, B joins behind it (another thread).
    let pool = stage.pool.clone();
    let b: Arc<parking_lot::Mutex<Option<tokio::task::JoinHandle<_>>>> = Arc::default();
    let held = {
        let b = b.clone();
        let pool2 = pool.clone();
        let mut fut_b = Box::pin(async move { wait(&pool2).await });
        pool.wait_for_room(|| {
            // B runs here up to its first await.
            let waker = futures::task::noop_waker();
            let mut cx = std::task::Context::from_waker(&waker);
            assert!(fut_b.as_mut().poll(&mut cx).is_pending());
            *b.lock() = Some(tokio::spawn(fut_b));
            let headers = HeaderMap::new();
            pool.pick_with_room(&pick_cx(Instant::now(), &headers), &mut Random::with_seed(3))
        })
        .await
        .unwrap()
    };
    let b = b.lock().take().unwrap();
    let got = b.await.unwrap();
    assert!(got.is_ok(), "{got:?} while an endpoint was idle");
    drop(held);
}
