//! One change after the other, and none by a process that has given way.

use std::convert::Infallible;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::sleep;

use crate::support::eventually;

use super::super::control::{Gated, evener, get, status};
use super::super::reload::{answer, responding, write};
use super::super::{Place, Running};
use super::{Slow, only, refused, serving, upgrade};

/// Fails when there are ever more processes.
async fn two_at_most(running: &Running) -> Infallible {
    loop {
        let processes = running.processes();
        assert!(processes.len() <= 2, "{processes:?}");
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn of_two_upgrades_at_once_one_is_made() {
    let running = Running::start(&responding("", 200), 1).await;
    let both = async { tokio::join!(evener(&running, &["upgrade"]), evener(&running, &["upgrade"])) };
    let (one, other) = tokio::select! {
        both = both => both,
        never = two_at_most(&running) => match never {},
    };
    let (made, refused) = if one.0 == 0 { (one, other) } else { (other, one) };
    assert_eq!((made.0, &*made.2), (0, ""));
    assert_eq!((refused.0, &*refused.1), (1, ""));
    assert!(
        refused.2.starts_with("evener: nothing has changed: another process ")
            || refused.2.contains("from which this one took over, still finishes its work"),
        "{}",
        refused.2
    );
    assert_eq!(answer(&running).await, 200);
    let new = serving(&running).await;
    only(&running, &[new]).await;
}

#[tokio::test]
async fn there_is_no_third_process_while_the_first_has_work() {
    let mut gated = Gated::start().await;
    let mut client = gated.begin().await;
    let old = gated.running.id();
    let new = upgrade(&gated.running, &[]).await;
    assert_eq!(
        refused(&gated.running, &[]).await,
        format!(
            "process {old}, from which this one took over, still finishes its work\n  \
             help: wait for its end (server.drain bounds it), or end it at once: kill {old}\n"
        )
    );
    let mut both = [old, new];
    both.sort_unstable();
    assert_eq!(gated.running.processes(), both);
    gated.gate.add_permits(1);
    assert_eq!(client.response().await.text(), "ok");
    assert_eq!(gated.running.exit_code().await, Some(0));
    let third = upgrade(&gated.running, &[]).await;
    only(&gated.running, &[third]).await;
}

#[tokio::test]
async fn a_process_that_has_given_way_changes_nothing_any_more() {
    let gated = Gated::start().await;
    let mut client = gated.begin().await;
    upgrade(&gated.running, &[]).await;
    let config = std::fs::read_to_string(gated.running.file("edge.yaml")).unwrap();
    write(&gated.running, &config.replace("pool: app }]", "respond: { status: 299 } }]"));
    gated.running.signal(Signal::HUP);
    gated.running.tells("configuration: another process serves, not this one").await;
    gated.running.signal(Signal::USR2);
    gated.running.tells("nothing has changed: another process serves, not this one").await;
    let told = status(&gated.running).await;
    assert_eq!((&told["generation"], &told["changes_made"]), (&1.into(), &0.into()));
    gated.gate.add_permits(2);
    assert_eq!(get(&gated.running).await, 200);
    assert_eq!(client.response().await.status, 200);
    // The other one does what it is told.
    assert_eq!(evener(&gated.running, &["reload"]).await.0, 0);
    assert_eq!(get(&gated.running).await, 299);
}

#[tokio::test]
async fn nothing_else_changes_during_an_upgrade() {
    let running = Running::start(&responding("", 201), 1).await;
    let slow = Slow::begin(&running, "exit 3").await;
    write(&running, &responding("", 202));
    const BUSY: &str =
        "another process is about to take over; wait until it serves, or has turned out not to\n";
    for arguments in [["reload"], ["rollback"]] {
        let (code, _, err) = evener(&running, &arguments).await;
        assert_eq!((code, &*err), (64, BUSY));
    }
    assert_eq!(refused(&running, &[]).await, BUSY);
    let (code, _, err) = slow.go_on(&running).await;
    assert_eq!(code, 1);
    assert!(err.contains("exited with code 3"), "{err}");
    assert_eq!(answer(&running).await, 201);
    assert_eq!(evener(&running, &["reload"]).await.0, 0);
    assert_eq!((answer(&running).await, serving(&running).await), (202, running.id()));
}

#[tokio::test]
async fn a_signal_upgrades_with_the_arguments_of_the_process() {
    let place = Place::with("");
    std::fs::write(place.path().join("other.yaml"), responding("", 201)).unwrap();
    let mut command = place.command(&["run", "--config", "other.yaml"]);
    command.stdout(Stdio::null());
    let running = Running::launch(place, command, 1).await;
    let arguments = |id: u32| std::fs::read(format!("/proc/{id}/cmdline")).unwrap();
    let before = arguments(running.id());
    std::fs::write(running.file("other.yaml"), "routes: 5\n").unwrap();
    running.signal(Signal::USR2);
    running.tells("nothing has changed: the new process refuses the configuration").await;
    assert_eq!(serving(&running).await, running.id());
    std::fs::write(running.file("other.yaml"), responding("", 202)).unwrap();
    running.signal(Signal::USR2);
    eventually("another process serves", async || serving(&running).await != running.id()).await;
    assert_eq!(arguments(serving(&running).await), before);
    assert_eq!(answer(&running).await, 202);
}
