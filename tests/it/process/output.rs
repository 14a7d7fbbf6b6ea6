//! Commands whose output nobody reads to its end.

use std::io::PipeWriter;
use std::process::{Command, Output, Stdio};

use super::run::Running;
use super::{Place, told};

const CONFIG: &str = "listeners: { web: { bind: 127.0.0.1:0 } }
routes: [{ respond: {} }]
log: { access: { format: off } }
";

/// A pipe that its reader has closed.
fn closed() -> PipeWriter {
    let (_, writer) = std::io::pipe().unwrap();
    writer
}

fn run(command: &mut Command) -> Output {
    command.stdin(Stdio::null()).output().unwrap()
}

#[test]
fn a_reader_that_has_read_enough_is_no_failure() {
    let place = Place::with(CONFIG);
    for arguments in [
        &["check", "-c", "edge.yaml"][..],
        &["explain", "-c", "edge.yaml", "http://a/"],
        &["diff", "-c", "edge.yaml", "--against", "edge.yaml", "--json"],
        &["reference"],
        &["completions", "bash"],
        &["simulate"],
        &["--help"],
    ] {
        let (code, _, err) = told(&run(place.command(arguments).stdout(closed())));
        assert_eq!((code, &*err), (0, ""), "{arguments:?}");
    }
}

#[test]
fn exit_codes_do_not_depend_on_who_reads() {
    let place = Place::with("routes: []\n");
    let (code, _, _) = told(&run(place.command(&["check", "-c", "edge.yaml"]).stderr(closed())));
    assert_eq!(code, 64);
    let place = Place::with(CONFIG);
    std::fs::write(place.path().join("new.yaml"), CONFIG.replace("respond: {}", "respond: { status: 204 }"))
        .unwrap();
    let arguments = ["diff", "-c", "new.yaml", "--against", "edge.yaml"];
    let (code, _, err) = told(&run(place.command(&arguments).stdout(closed())));
    assert_eq!((code, &*err), (1, ""));
    let (code, _, _) = told(&run(place.command(&["status"]).stderr(closed())));
    assert_eq!(code, 1);
}

#[test]
fn what_cannot_be_written_is_a_failure() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let (code, _, err) = told(&run(Place::with(CONFIG).command(&["check", "-c", "edge.yaml"]).stdout(full)));
    assert_eq!(code, 1);
    assert!(err.starts_with("evener: standard output cannot be written: No space left on device"), "{err}");
}

#[tokio::test]
async fn commands_to_a_process_are_done_whoever_reads() {
    let running = Running::start(CONFIG, 1).await;
    std::fs::write(running.file("edge.yaml"), CONFIG.replace("respond: {}", "respond: { status: 204 }"))
        .unwrap();
    let folder = running.file("");
    let asked = tokio::task::spawn_blocking(move || {
        let command = |arguments: &[&str]| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_evener"));
            told(&run(command.args(arguments).current_dir(&folder).stdout(closed())))
        };
        [&["reload"][..], &["history"], &["status"], &["status", "--json"], &["rollback"]].map(command)
    });
    for (code, _, err) in asked.await.unwrap() {
        assert_eq!((code, &*err), (0, ""));
    }
    assert_eq!(running.status().await["generation"], 3);
}
