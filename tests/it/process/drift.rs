//! What runs otherwise than the file says, and how the file is made to say it.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
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
    if is_applied(&patch, &running.file("")) {
        assert_eq!(evener(&running, &["drift"]).await.0, 0);
    }
}

/// Has `patch` apply it in a folder; false where there is no such program.
fn is_applied(patch: &str, folder: &Path) -> bool {
    let mut command = Command::new("patch");
    command.args(["-p1", "--silent", "-d"]).arg(folder).stdin(Stdio::piped());
    let Ok(mut patching) = command.spawn() else { return false };
    patching.stdin.take().unwrap().write_all(patch.as_bytes()).unwrap();
    assert!(patching.wait().unwrap().success(), "{patch}");
    true
}

#[tokio::test]
async fn files_elsewhere_are_patched_from_a_folder_that_is_named() {
    let elsewhere = tempfile::tempdir().unwrap();
    let real = elsewhere.path().canonicalize().unwrap();
    let [plain, linked] = ["of all.yaml", "linked.yaml"].map(|name| real.join(name));
    fs::write(&plain, "pools: { more: { endpoints: [127.0.0.1:3] } }\n").unwrap();
    fs::write(&linked, "pools: { most: { endpoints: [127.0.0.1:4] } }\n").unwrap();
    symlink(&linked, real.join("link.yaml")).unwrap();
    let include = format!("include: ['{}', '{}']\n", plain.display(), real.join("link.yaml").display());
    let running = Running::start(&format!("{include}{}", config("endpoints: [127.0.0.1:1]")), 1).await;
    for (target, is_elsewhere) in
        [("app/127.0.0.1:1", false), ("more/127.0.0.1:3", true), ("most/127.0.0.1:4", true)]
    {
        assert_eq!(evener(&running, &["weight", target, "7"]).await.0, 0);
        let (code, patch, err) = evener(&running, &["drift", "--patch"]).await;
        assert_eq!((code, err.is_empty()), (1, !is_elsewhere), "{err}");
        let folder = if is_elsewhere {
            let (_, folder) = err.trim_end().rsplit_once("`patch -p1 -d ").unwrap();
            let folder = folder.strip_suffix('`').unwrap();
            assert!(patch.starts_with(&format!("# apply it with: patch -p1 -d {folder}\n--- a/")), "{patch}");
            folder.into()
        } else {
            running.file("")
        };
        if !is_applied(&patch, &folder) {
            return;
        }
        assert_eq!(evener(&running, &["drift"]).await.0, 0, "{patch}");
    }
    assert!(fs::symlink_metadata(real.join("link.yaml")).unwrap().is_symlink());
    assert!(fs::read_to_string(&linked).unwrap().contains("weight: 7"));
}

#[tokio::test]
async fn the_file_is_written_when_that_is_sound() {
    let running = started().await;
    change(&running).await;
    let before = fs::read_to_string(running.file("edge.yaml")).unwrap();
    let (code, out, err) = evener(&running, &["drift", "--write"]).await;
    assert_eq!((code, &*err), (0, ""));
    assert!(out.ends_with("/edge.yaml is changed\ngeneration 2 is served\n"), "{out}");
    let after = fs::read_to_string(running.file("edge.yaml")).unwrap();
    let expected = before
        .replace("[127.0.0.1:1,", "[{ address: 127.0.0.1:1, weight: 7 },")
        .replace("weight: 3", "weight: 0");
    assert_eq!(after, expected);
    assert_eq!(evener(&running, &["drift"]).await, (0, "no drift\n".to_owned(), String::new()));
    assert_eq!(evener(&running, &["reload"]).await.1, "no difference\n", "what was written is read already");
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

#[tokio::test]
async fn weights_that_were_edited_and_not_reloaded_stay() {
    let running = started().await;
    assert_eq!(evener(&running, &["weight", "app/127.0.0.1:1", "7"]).await.0, 0);
    let file = running.file("edge.yaml");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, before.replace("weight: 3", "weight: 5")).unwrap();
    let (_, out, _) = evener(&running, &["drift"]).await;
    assert!(out.contains("weight 5, not reloaded  weight 3"), "{out}");
    let (code, patch, err) = evener(&running, &["drift", "--patch"]).await;
    assert!(code == 1 && patch.contains("weight: 3") && err.contains("the patch takes it back"), "{err}");
    let (code, out, err) = evener(&running, &["drift", "--write"]).await;
    assert_eq!(code, 1);
    assert!(out.ends_with("/edge.yaml is changed\n"), "{out}");
    let told = "/edge.yaml:2:42: pools.app.endpoints[1]: the file was edited to `weight 5` and not reloaded, and `weight 3` \
                runs; it stays\n  help: `evener reload` serves `weight 5` in its place, and `--overwrite` writes `weight 3`\n";
    assert!(err.ends_with(told), "{err}");
    let written = fs::read_to_string(&file).unwrap();
    assert!(written.contains("weight: 7") && written.contains("weight: 5"), "{written}");
    assert_eq!(evener(&running, &["drift", "--write", "--overwrite"]).await.0, 0);
    assert!(fs::read_to_string(&file).unwrap().contains("weight: 3"));
    assert_eq!(evener(&running, &["drift"]).await.0, 0);
}

#[tokio::test]
async fn a_file_that_is_gone_is_not_made_anew() {
    let running = started().await;
    change(&running).await;
    let file = running.file("edge.yaml");
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    fs::rename(&file, running.file("gone.yaml")).unwrap();
    let arguments = ["drift", "--write", "--overwrite", "--socket", "run/evener.sock"];
    let (code, out, err) = evener(&running, &arguments).await;
    assert_eq!((code, &*out, file.exists()), (2, "", false));
    assert!(err.contains("/edge.yaml: it is not there any more; nothing is changed\n  help: "), "{err}");
    let (_, patch, _) = evener(&running, &["drift", "--patch", "--socket", "run/evener.sock"]).await;
    assert!(patch.starts_with("--- /dev/null\n+++ b/edge.yaml\n"), "{patch}");
    fs::rename(running.file("gone.yaml"), &file).unwrap();
    assert_eq!(evener(&running, &["drift", "--write"]).await.0, 0);
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn what_no_file_says_is_told_and_no_failure() {
    let running = started().await;
    change(&running).await;
    assert_eq!(evener(&running, &["log", "debug"]).await.0, 0);
    let (code, out, err) = evener(&running, &["drift", "--write"]).await;
    let told = "evener: log.level: it holds until the next reload, and is not written: debug\n  help: change it in the file \
                to keep it\n";
    assert_eq!(err, told);
    assert!(code == 0 && out.ends_with("/edge.yaml is changed\ngeneration 2 is served\n"), "{code} {out}");
    let (code, out, _) = evener(&running, &["drift"]).await;
    assert!(code == 1 && out.contains("log.level"), "the level holds on: {out}");
}

#[tokio::test]
async fn what_was_written_is_nobodys_edit() {
    let running = started().await;
    let weigh = async |weight: &str| {
        assert_eq!(evener(&running, &["weight", "app/127.0.0.1:1", weight]).await.0, 0);
    };
    for (weight, generation) in [("11", 2), ("12", 3), ("1", 4)] {
        weigh(weight).await;
        let (code, out, err) = evener(&running, &["drift", "--write"]).await;
        assert_eq!((code, &*err), (0, ""));
        assert!(out.ends_with(&format!("is changed\ngeneration {generation} is served\n")), "{out}");
        // Nor is anything lost by a reload.
        weigh("20").await;
        assert_eq!(evener(&running, &["reload"]).await.1, "no difference\n");
        weigh(weight).await;
        assert_eq!(evener(&running, &["drift"]).await.0, 0);
    }
}

#[tokio::test]
async fn a_probation_is_not_ended_by_what_is_written() {
    let running = started().await;
    let file = running.file("edge.yaml");
    let before = fs::read_to_string(&file).unwrap();
    fs::write(&file, before.replace("slow_start: 0", "slow_start: 5s")).unwrap();
    // Whoever has asked for it waits for its end.
    let probation = evener(&running, &["reload", "--probation", "1h"]);
    let written = async {
        running.tells("configuration is served generation=2").await;
        change(&running).await;
        evener(&running, &["drift", "--write"]).await
    };
    let (code, out, err) = tokio::select! {
        ended = probation => panic!("{ended:?}"),
        written = written => written,
    };
    assert!(code == 1 && out.ends_with("/edge.yaml is changed\n"), "{out}");
    assert!(
        err.contains("generation 2 is on probation") && err.contains("the process has not read it"),
        "{err}"
    );
    assert!(fs::read_to_string(&file).unwrap().contains("weight: 7"));
    assert!(evener(&running, &["history"]).await.1.contains("on probation"));
}
