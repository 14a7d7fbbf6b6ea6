//! One change after the other, and none by a process that has given way.

use std::convert::Infallible;
use std::os::unix::net::UnixStream as StdStream;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::{sleep, timeout};

use crate::support::{PATIENCE, eventually};

use super::super::control::{Gated, evener, get, status};
use super::super::reload::{answer, responding, write};
use super::super::{Place, Running};
use super::{Slow, only, refused, serving, upgrade};

/// Someone who has asked for a reload, and has been told that it takes its time.
struct Asked(BufReader<UnixStream>);

impl Asked {
    async fn reload(running: &Running) -> Self {
        let stream = StdStream::connect(running.file("run/evener.sock")).unwrap();
        stream.set_nonblocking(true).unwrap();
        let mut asked = Self(BufReader::new(UnixStream::from_std(stream).unwrap()));
        asked.0.write_all(b"{\"v\":1,\"do\":{\"reload\":{\"probation\":null}}}\n").await.unwrap();
        assert!(asked.line().await.contains("working"));
        asked
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        timeout(PATIENCE, self.0.read_line(&mut line)).await.expect("a line").unwrap();
        line
    }

    /// What it comes to.
    async fn told(mut self) -> String {
        loop {
            let line = self.line().await;
            if !line.contains("working") {
                return line;
            }
        }
    }
}

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
        refused.2.starts_with("evener: nothing has changed: another process serves by now")
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
    gated.running.tells("configuration: another process serves by now").await;
    gated.running.signal(Signal::USR2);
    gated.running.tells("nothing has changed: another process serves by now").await;
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
async fn a_reload_that_waits_for_an_upgrade_is_refused() {
    let running = Running::start(&responding("", 201), 1).await;
    let slow = Slow::begin_well(&running).await;
    let asked = Asked::reload(&running).await;
    write(&running, &responding("", 202));
    let (code, _, err) = slow.go_on(&running).await;
    assert_eq!((code, &*err), (0, ""));
    let told = asked.told().await;
    assert!(told.contains("refused") && told.contains("another process serves by now"), "{told}");
    assert!(!running.has_told("configuration is served"));
    let told = status(&running).await;
    assert_eq!((&told["generation"], &told["changes_made"]), (&1.into(), &0.into()));
    assert_eq!(answer(&running).await, 202);
}

#[tokio::test]
async fn a_reload_that_waits_for_an_upgrade_that_fails_is_made() {
    let running = Running::start(&responding("", 201), 1).await;
    let slow = Slow::begin(&running, "exit 3").await;
    let asked = Asked::reload(&running).await;
    write(&running, &responding("", 202));
    let (code, _, err) = slow.go_on(&running).await;
    assert_eq!(code, 1);
    assert!(err.contains("exited with code 3"), "{err}");
    let told = asked.told().await;
    assert!(told.contains("changed"), "{told}");
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
