use std::sync::Arc;

use http::StatusCode;
use tokio::task::{JoinHandle, yield_now};
use tokio::time::{advance, sleep};

use crate::config;
use crate::hooks::{FetchError, Fetched};
use crate::tracing::Collector;
use crate::tracing::testing::{Script, answer_of, collector, settings, spans};

use super::*;

struct Running {
    queue: Arc<Queue>,
    script: Arc<Script>,
    collector: Arc<Collector>,
    task: JoinHandle<()>,
}

impl Running {
    fn start(answers: impl IntoIterator<Item = Result<Fetched, FetchError>>) -> Self {
        let (queue, script) = (Arc::new(Queue::default()), Script::answering(answers));
        let collector = collector(settings("http://192.0.2.1"), &script);
        let sending = queue.clone();
        Self { queue, script, collector, task: tokio::spawn(async move { send_all(&sending).await }) }
    }

    fn push(&self, count: usize) {
        self.queue.push(&self.collector, spans(0..count), Instant::now());
    }

    fn counts(&self) -> [u64; 3] {
        let counts = self.queue.counts();
        [counts.exported.get(), counts.dropped.get(), counts.failures.get()]
    }
}

fn refused() -> Result<Fetched, FetchError> {
    Err(FetchError::Connect("refused".to_owned()))
}

async fn settle() {
    for _ in 0..20 {
        yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn spans_are_gathered_for_a_while() {
    let running = Running::start([]);
    running.push(3);
    sleep(Duration::from_secs(4)).await;
    running.push(2);
    settle().await;
    assert_eq!(running.script.counts(), [0; 0]);
    sleep(Duration::from_millis(1001)).await;
    assert_eq!((running.script.counts(), running.counts()), (vec![5], [5, 0, 0]), "5 s after the first");
    running.push(1);
    sleep(Duration::from_millis(5001)).await;
    assert_eq!(running.script.counts(), [5, 1]);
    assert_eq!(running.queue.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn many_spans_are_sent_at_once_and_requests_stay_whole() {
    let running = Running::start([]);
    running.push(300);
    settle().await;
    running.push(200);
    settle().await;
    assert_eq!(running.script.counts(), [0; 0]);
    running.push(100);
    settle().await;
    assert_eq!(running.script.counts(), [500], "the 100 would be more than go at once");
    sleep(Duration::from_millis(5001)).await;
    assert_eq!(running.script.counts(), [500, 100]);
}

#[tokio::test(start_paused = true)]
async fn what_does_not_fit_is_dropped_as_a_whole_and_counted() {
    let running = Running::start((0..100).map(|_| refused()));
    running.push(600);
    settle().await;
    running.push(400);
    running.push(1);
    assert_eq!((running.queue.len(), running.counts()), (1000, [0, 1, 1]), "those on their way count too");
    running.script.answers.lock().clear();
    sleep(Duration::from_secs(10)).await;
    assert_eq!((running.queue.len(), running.counts()), (0, [1000, 1, 1]));
}

#[tokio::test(start_paused = true)]
async fn a_collector_that_is_gone_is_asked_less_and_less() {
    let running = Running::start((0..9).map(|_| refused()));
    running.push(512);
    sleep(Duration::from_secs(200)).await;
    assert_eq!(running.counts(), [512, 0, 9]);
    let asked = running.script.asked.lock();
    let pauses: Vec<_> = asked.windows(2).map(|pair| (pair[1].at - pair[0].at).as_secs_f64()).collect();
    for (pause, expected) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0, 30.0]) {
        assert!((pause / expected - 1.0).abs() < 0.11, "{pauses:?}");
    }
    assert!(asked.windows(2).all(|pair| pair[0].body == pair[1].body), "the same spans each time");
}

#[tokio::test(start_paused = true)]
async fn a_collector_says_when_it_wants_to_be_asked_again_and_what_it_does_not_want() {
    let later = answer_of(StatusCode::SERVICE_UNAVAILABLE, &[("retry-after", "20")], Bytes::new());
    let bad = answer_of(StatusCode::BAD_REQUEST, &[], Bytes::new());
    let running = Running::start([Ok(later), Ok(bad)]);
    running.push(512);
    sleep(Duration::from_secs(17)).await;
    assert_eq!(running.script.counts().len(), 1);
    sleep(Duration::from_secs(6)).await;
    assert_eq!((running.script.counts().len(), running.counts()), (2, [0, 512, 2]));
    running.push(512);
    settle().await;
    assert_eq!(running.counts(), [512, 512, 2]);
}

#[tokio::test(start_paused = true)]
async fn spans_for_another_collector_wait_for_none_that_is_gone() {
    let running = Running::start((0..100).map(|_| refused()));
    running.push(10);
    sleep(Duration::from_secs(20)).await;
    let other_script = Script::answering([]);
    let other = collector(
        config::Collector { service: "other".to_owned(), ..settings("http://192.0.2.2") },
        &other_script,
    );
    running.queue.push(&other, spans(0..4), Instant::now());
    settle().await;
    assert_eq!(running.counts()[1], 10);
    sleep(Duration::from_secs(6)).await;
    assert_eq!((other_script.counts(), running.counts()[0]), (vec![4], 4));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_two_collectors_goes_to_each() {
    let running = Running::start([]);
    running.push(2);
    let script = Script::answering([]);
    let other = collector(settings("http://192.0.2.2"), &script);
    running.queue.push(&other, spans(0..3), Instant::now());
    settle().await;
    assert_eq!(
        (running.script.counts(), script.counts()),
        (vec![2], vec![]),
        "the former has no reason to wait"
    );
    sleep(Duration::from_secs(6)).await;
    assert_eq!(script.counts(), [3]);
}

#[tokio::test(start_paused = true)]
async fn a_flush_waits_for_nothing_and_asks_once() {
    let running = Running::start([]);
    running.push(3);
    running.queue.flush();
    settle().await;
    assert_eq!(running.script.counts(), [3]);
    running.script.answers.lock().extend([refused(), refused()]);
    running.push(5);
    running.queue.flush();
    settle().await;
    assert_eq!((running.queue.len(), running.counts()), (0, [3, 5, 1]));
    running.push(1);
    settle().await;
    assert_eq!(running.script.counts(), [3, 5], "later ones are gathered again");
    advance(Duration::from_secs(6)).await;
    settle().await;
    assert_eq!(running.script.counts(), [3, 5, 1]);
}

#[tokio::test(start_paused = true)]
async fn the_last_spans_are_sent_before_the_end() {
    let running = Running::start([]);
    running.push(3);
    running.queue.close();
    running.task.await.unwrap();
    assert_eq!(running.script.counts(), [3]);
}
