//! What operators change of a process that runs, and what is noted of it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rustix::process::{Signal, geteuid};
use serde_json::Value;

use crate::support::eventually;

use super::control::{Gated, config, evener, get, status};
use super::run::Running;

fn write(running: &Running, text: &str) {
    fs::write(running.file("edge.yaml"), text).unwrap();
}

// === Ejections ===

#[tokio::test]
async fn an_endpoint_is_left_out_and_comes_back_by_itself() {
    let gated = Gated::start().await;
    let (running, target) = (&gated.running, gated.target());
    let ejected = evener(running, &["eject", &target, "--for", "1h"]).await;
    assert_eq!(ejected, (0, "ejected, left out for 1h\n".to_owned(), String::new()));
    assert_eq!((get(running).await, gated.first.requests().len()), (200, 0));
    let endpoint = &status(running).await["pools"][0]["endpoints"][0];
    assert_eq!(
        (&endpoint["state"], &endpoint["reason"]),
        (&"ejected".into(), &"an operator has said so".into())
    );
    assert!(endpoint["ejected_for_ms"].as_u64().unwrap() > 3_500_000, "{endpoint}");
    // What is said last counts.
    assert_eq!(evener(running, &["eject", &target, "--for", "1s"]).await.0, 0);
    eventually("it is back", async || gated.state().await == "fit").await;
    running.tells("endpoint is left out by an operator no more pool=app").await;
    gated.gate.add_permits(1);
    assert_eq!((get(running).await, gated.first.requests().len()), (200, 1));
}

#[tokio::test]
async fn an_ejection_is_undone_as_a_drain_is() {
    let gated = Gated::start().await;
    let (running, target) = (&gated.running, gated.target());
    evener(running, &["eject", &target, "--for", "1h"]).await;
    // It outlives the configuration, as all that operators change.
    let text = fs::read_to_string(running.file("edge.yaml")).unwrap();
    write(running, &text.replace("balance: first", "balance: first, slow_start: 1ms"));
    assert_eq!(evener(running, &["reload"]).await.0, 0);
    assert_eq!(gated.state().await, "ejected");
    assert_eq!(evener(running, &["drain", &target, "--undo"]).await, (0, "fit\n".to_owned(), String::new()));
    let (code, _, err) = evener(running, &["eject", &target, "--for", "61m"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("give 1s to 1h"), "{err}");
}

// === Messages ===

#[tokio::test]
async fn the_level_of_messages_changes_until_the_file_is_read_again() {
    let running = Running::start(&config("endpoints: [127.0.0.1:1]"), 1).await;
    let level = async |arguments: &[&str]| evener(&running, arguments).await.1;
    assert_eq!(level(&["log"]).await, "level info\n");
    assert_eq!(level(&["log", "debug"]).await, "level debug, was info\n");
    assert_eq!(level(&["log"]).await, "level debug\n");
    assert_eq!(evener(&running, &["reload"]).await.0, 0);
    assert_eq!(level(&["log"]).await, "level info\n");
    // Nobody hides by a level what they do.
    level(&["log", "error"]).await;
    running.tells("evener::audit what=log result=changed who=\"uid").await;
    assert_eq!(evener(&running, &["drain", "app/127.0.0.1:1"]).await.0, 0);
    running.tells("evener::audit what=drain result=changed who=\"uid").await;
    let (code, _, err) = evener(&running, &["log", "loud"]).await;
    assert_eq!(code, 2);
    assert!(err.contains("there is error, warn, info, debug and trace"), "{err}");
}

// === The audit log ===

fn entries(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// `what result who from before after` of each entry, once there are so many.
async fn noted(path: &Path, count: usize) -> Vec<String> {
    eventually("all is noted", async || entries(path).len() >= count).await;
    let text = |entry: &Value, key: &str| entry[key].as_str().unwrap_or("-").to_owned();
    let keys = ["what", "result", "who", "from", "before", "after"];
    let told = |entry: &Value| keys.map(|key| text(entry, key)).join(" | ");
    entries(path).iter().map(told).collect()
}

#[tokio::test]
async fn every_change_is_noted_whatever_door_it_comes_through() {
    let text = config("endpoints: [127.0.0.1:1, 127.0.0.1:2]");
    let text = format!("{text}admin: {{ bind: 'unix:admin.sock', audit_log: audit.log }}\n");
    let running = Running::start(&text, 1).await;
    let path = running.file("audit.log");
    for arguments in [
        &["drain", "app/127.0.0.1:1"][..],
        &["drain", "app/127.0.0.1:1"],
        &["weight", "app/127.0.0.1:2", "7"],
        &["drain", "app/127.0.0.1:3"],
        &["reload"],
        &["log", "warn"],
        &["rollback"],
    ] {
        evener(&running, arguments).await;
    }
    write(&running, &text.replace("127.0.0.1:2]", "127.0.0.1:2], slow_start: 1s"));
    running.signal(Signal::HUP);
    let user = format!("uid {} | control socket", geteuid().as_raw());
    let expected = [
        format!("drain | changed | {user} | weight 1 | weight 1, in drain"),
        format!("drain | unchanged | {user} | weight 1, in drain | weight 1, in drain"),
        format!("weight | changed | {user} | weight 1 | weight 7"),
        format!("drain | refused | {user} | - | -"),
        format!("reload | unchanged | {user} | generation 1 | generation 1"),
        format!("log | changed | {user} | info | warn"),
        format!("rollback | refused | {user} | - | -"),
        "reload | changed | process | signal | generation 1 | generation 2".to_owned(),
    ];
    assert_eq!(noted(&path, expected.len()).await, expected);
    let refused = &entries(&path)[3];
    assert_eq!(refused["target"], "app/127.0.0.1:3");
    assert_eq!(refused["reason"], "pool `app` has no endpoint `127.0.0.1:3`");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    running.tells("evener::audit what=drain result=changed who=\"uid").await;
}

#[tokio::test]
async fn the_audit_log_is_opened_again_and_moves_with_the_configuration() {
    let text = config("endpoints: [127.0.0.1:1, 127.0.0.1:2]");
    let with = |log: &str| format!("{text}admin: {{ bind: 'unix:admin.sock', audit_log: {log} }}\n");
    let running = Running::start(&with("audit.log"), 1).await;
    let [path, kept, other] = ["audit.log", "audit.log.1", "other.log"].map(|name| running.file(name));
    let weigh = async |weight: &str| evener(&running, &["weight", "app/127.0.0.1:1", weight]).await;
    weigh("2").await;
    noted(&path, 1).await;
    fs::rename(&path, &kept).unwrap();
    running.signal(Signal::USR1);
    eventually("it is opened again", async || path.exists()).await;
    weigh("3").await;
    assert!(noted(&path, 1).await[0].ends_with("weight 2 | weight 3"));
    assert_eq!(entries(&kept).len(), 1);
    write(&running, &with("/nonexistent/audit.log"));
    let (code, _, err) = evener(&running, &["reload"]).await;
    assert!(code == 64 && err.contains("audit log /nonexistent/audit.log: "), "{err}");
    write(&running, &with("other.log"));
    assert_eq!(evener(&running, &["reload"]).await.0, 0);
    weigh("4").await;
    assert!(noted(&other, 2).await[1].ends_with("weight 3 | weight 4"));
    // The file before tells why nothing follows.
    assert!(noted(&path, 3).await[2].ends_with("generation 1 | generation 2"));
}
