//! What runs otherwise than the file says, and how the file is made to say it.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use super::Running;
use super::control::{config, evener};

const ENDPOINTS: &str =
    "endpoints: [127.0.0.1:1, { address: 127.0.0.1:2, weight: 3 }], outlier: off, slow_start: 0 # both";

async fn started() -> Running {
    let config = config(&format!("{ENDPOINTS}\n "));
    Running::start(&config, 1).await
}

async fn change(running: &Running) {
    assert_eq!(evener(running, &["weight", "app/127.0.0.1:1", "7"]).await.0, 0);
    assert_eq!(evener(running, &["drain", "app/127.0.0.1:2"]).await.0, 0);
}

#[tokio::test]
async fn what_was_changed_by_command_is_told() {
    let running = started().await;
    assert_eq!(evener(&running, &["drift"]).await, (0, "no drift\n".to_owned(), String::new()));
    change(&running).await;
    let (code, out, err) = evener(&running, &["drift", "-c", "edge.yaml"]).await;
    assert_eq!((code, &*err), (1, ""));
    let expected = "edge.yaml, generation 1 is served
  WHAT      TARGET           THE FILE  RUNS      KEY
  endpoint  app/127.0.0.1:1  weight 1  weight 7  pools.app.endpoints[0]
  endpoint  app/127.0.0.1:2  weight 3  drained   pools.app.endpoints[1]
";
    assert_eq!(out, expected);
    let (code, out, _) = evener(&running, &["drift", "--json"]).await;
    let drift: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!((code, &drift["rest"], &drift["generation"]), (1, &"same".into(), &1.into()));
    let change = &drift["changes"][1];
    assert_eq!(
        (&change["what"], &change["file"], &change["runs"]),
        (&"endpoint".into(), &"weight 3".into(), &"drained".into())
    );
    // A reload of the same file keeps all of it.
    assert_eq!(evener(&running, &["reload"]).await.1, "no difference\n");
    assert_eq!(evener(&running, &["drift"]).await.1, expected);
    // A command takes it back.
    assert_eq!(evener(&running, &["weight", "app/127.0.0.1:1", "1"]).await.0, 0);
    assert_eq!(evener(&running, &["weight", "app/127.0.0.1:2", "3"]).await.0, 0);
    assert_eq!(evener(&running, &["drift"]).await.0, 0);
}

#[tokio::test]
async fn a_patch_makes_the_file_say_what_runs() {
    let running = started().await;
    change(&running).await;
    let (code, patch, err) = evener(&running, &["drift", "--patch"]).await;
    assert_eq!((code, &*err), (1, ""));
    let new = "{ address: 127.0.0.1:1, weight: 7 }, { address: 127.0.0.1:2, weight: 0 }";
    assert!(patch.starts_with("--- a/edge.yaml\n+++ b/edge.yaml\n@@ "), "{patch}");
    assert!(patch.contains(&format!("\n+pools: {{ app: {{ endpoints: [{new}], ")), "{patch}");
    // It is one that others understand.
    let mut command = Command::new("patch");
    command.args(["-p1", "--silent"]).current_dir(running.file("")).stdin(Stdio::piped());
    if let Ok(mut patching) = command.spawn() {
        patching.stdin.take().unwrap().write_all(patch.as_bytes()).unwrap();
        assert!(patching.wait().unwrap().success());
        assert_eq!(evener(&running, &["drift"]).await.0, 0);
    }
}

#[tokio::test]
async fn the_file_is_written_when_that_is_sound() {
    let running = started().await;
    change(&running).await;
    let before = fs::read_to_string(running.file("edge.yaml")).unwrap();
    let (code, out, err) = evener(&running, &["drift", "--write"]).await;
    assert_eq!((code, &*err), (0, ""));
    assert!(out.ends_with("/edge.yaml is changed\n"), "{out}");
    let after = fs::read_to_string(running.file("edge.yaml")).unwrap();
    let expected = before
        .replace("[127.0.0.1:1,", "[{ address: 127.0.0.1:1, weight: 7 },")
        .replace("weight: 3", "weight: 0");
    assert_eq!(after, expected);
    assert_eq!(evener(&running, &["drift"]).await, (0, "no drift\n".to_owned(), String::new()));
    assert_eq!(evener(&running, &["reload"]).await.0, 0);
    assert_eq!(evener(&running, &["drift"]).await.0, 0);
    let endpoints = running.status().await["pools"][0]["endpoints"].clone();
    assert_eq!((&endpoints[0]["weight"], &endpoints[1]["state"]), (&7.into(), &"drained".into()));
}

#[tokio::test]
async fn edits_that_are_not_served_are_not_lost_by_chance() {
    let running = started().await;
    change(&running).await;
    let file = running.file("edge.yaml");
    let before = fs::read_to_string(&file).unwrap();
    let edited = before.replace("outlier: off", "outlier: off, panic: 10%");
    fs::write(&file, &edited).unwrap();
    let (code, out, _) = evener(&running, &["drift"]).await;
    let tail = "the file says something else, and a reload would change:\n  ~ pools.app: panic: 50% -> 10%\n";
    assert!(code == 1 && out.ends_with(tail), "{out}");
    let (code, out, err) = evener(&running, &["drift", "--write"]).await;
    assert!(code == 2 && out.is_empty() && err.contains("which would be lost"), "{err}");
    assert_eq!(fs::read_to_string(&file).unwrap(), edited);
    assert_eq!(evener(&running, &["drift", "--write", "--overwrite"]).await.0, 0);
    assert!(!fs::read_to_string(&file).unwrap().contains("panic"));
    assert_eq!(evener(&running, &["drift"]).await.0, 0);
    fs::write(&file, "routes: }\n").unwrap();
    let (code, out, _) = evener(&running, &["drift", "--socket", "run/evener.sock"]).await;
    assert!(code == 1 && out.contains("the file would be refused:\n  edge.yaml:1:"), "{out}");
}
