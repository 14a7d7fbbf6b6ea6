//! Configurations that are watched, and taken back when requests fare worse.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::support::{Client, eventually};

use super::super::control::evener;
use super::super::{Place, Running, told};
use super::going_back::history;
use super::{answer, responding, write};

/// A client that asks all the time, until it is dropped.
struct Asking(Arc<AtomicBool>);

impl Asking {
    fn start(running: &Running) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (stopped, address) = (stop.clone(), running.address());
        tokio::spawn(async move {
            let mut client = Client::connect(address).await;
            while !stopped.load(Ordering::Relaxed) {
                client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
                client.response().await;
            }
        });
        Self(stop)
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn one_that_fares_worse_is_taken_back_with_an_account_of_why() {
    let running = Running::start(&responding("", 201), 1).await;
    let _asking = Asking::start(&running);
    write(&running, &responding("", 503));
    let (code, out, err) = evener(&running, &["reload", "--probation", "1m"]).await;
    assert_eq!((code, &*out), (1, "~ routes.all: respond.status: 201 -> 503\n"));
    assert!(
        err.starts_with(
            "on probation\nevener: the new configuration was taken back: too many answers of 5xx: "
        ),
        "{err}"
    );
    assert!(
        err.contains(", 100.0 % answered with 5xx, ") && err.contains(", 0.0 % answered with 5xx, "),
        "{err}"
    );
    assert_eq!(answer(&running).await, 201);
    let history = history(&running).await;
    assert!(
        history[1]["standing"]["failed"].as_str().unwrap().starts_with("too many answers of 5xx"),
        "{history:?}"
    );
    assert_eq!((&history[2]["origin"], &history[2]["configuration"]), (&"probation".into(), &1.into()));
    // An upgrade would read the file, which holds what was taken back.
    let (code, _, err) = evener(&running, &["upgrade"]).await;
    assert_eq!(code, 1);
    assert!(
        err.contains("the configuration of generation 1 is served again, and the file has another one"),
        "{err}"
    );
}

#[tokio::test]
async fn one_that_fares_well_stays() {
    let running = Running::start(&responding("", 201), 1).await;
    let _asking = Asking::start(&running);
    write(&running, &responding("", 202));
    let (code, out, err) = evener(&running, &["reload", "--probation", "1s"]).await;
    assert_eq!((code, &*err), (0, "on probation\n"));
    assert!(out.contains("\npassed: ") && out.contains(" requests, 0.0 % answered with 5xx, p99 "), "{out}");
    assert_eq!(answer(&running).await, 202);
    assert_eq!(history(&running).await[1]["standing"], "serving");
}

#[tokio::test]
async fn another_change_ends_it() {
    let running = Running::start(&responding("", 201), 1).await;
    write(&running, &responding("", 202));
    let watched = evener(&running, &["reload", "--probation", "1m", "--json"]);
    let other = async {
        eventually("it is on probation", async || {
            history(&running).await.last().unwrap()["standing"] == "on_probation"
        })
        .await;
        assert_eq!(evener(&running, &["rollback"]).await.0, 0);
    };
    let ((code, out, err), ()) = tokio::join!(watched, other);
    assert_eq!((code, &*err), (1, "evener: another change came before the end of the probation\n"));
    let told: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((&told["generation"], &told["verdict"]), (&2.into(), &"overtaken".into()));
    assert_eq!(answer(&running).await, 201);
    assert_eq!(history(&running).await[1]["standing"], "replaced");
}

#[test]
fn less_than_a_second_is_no_probation_and_no_time_to_start() {
    for (command, flag, time) in
        [("reload", "--probation", "0s"), ("reload", "--probation", "999ms"), ("upgrade", "--timeout", "0s")]
    {
        let (code, _, err) = told(&Place::with("").evener(&[command, flag, time]));
        let expected = format!(
            "error: invalid value '{time}' for '{flag} <TIME>': `{time}` is too short; give 1s or more\n"
        );
        assert_eq!((code, err.starts_with(&expected)), (2, true), "{err}");
    }
}
