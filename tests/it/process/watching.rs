//! `evener status --watch` and `evener top`: what is told again and again.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::process::Signal;

use crate::support::{Endpoint, eventually};

use super::control::{command, config};
use super::{Running, send, told};

async fn started() -> (Running, Endpoint) {
    let endpoint = Endpoint::answering("ok").await;
    let running = Running::start(&config(&format!("endpoints: ['{}']", endpoint.address())), 1).await;
    (running, endpoint)
}

/// A command and what it prints by and by.
struct Watched {
    child: Child,
    out: Arc<Mutex<String>>,
}

impl Watched {
    fn start(mut command: Command) -> Self {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let out = Arc::<Mutex<String>>::default();
        let (kept, mut pipe) = (out.clone(), child.stdout.take().unwrap());
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut piece) {
                kept.lock().push_str(&String::from_utf8_lossy(&piece[..length]));
            }
        });
        Self { child, out }
    }

    async fn prints(&self, what: impl Fn(&str) -> bool) {
        let prints = async || what(&self.out.lock());
        eventually("it prints that", prints).await;
    }

    async fn has(&self, text: &str) {
        let has = async || self.out.lock().contains(text);
        eventually(text, has).await;
    }

    fn press(&mut self, keys: &str) {
        let stdin = self.child.stdin.as_mut().unwrap();
        stdin.write_all(keys.as_bytes()).unwrap();
        stdin.flush().unwrap();
    }

    async fn ended(&mut self) -> Option<i32> {
        eventually("it ends", async || self.child.try_wait().unwrap().is_some()).await;
        self.child.wait().unwrap().code()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[tokio::test]
async fn status_is_told_again_until_a_signal_ends_it() {
    let (running, _endpoint) = started().await;
    for (signal, json) in [(Signal::INT, "--json"), (Signal::TERM, "--watch=0.1")] {
        let mut watched = Watched::start(command(
            &running.file(""),
            &["status", json, "--watch=0.1"][..if json == "--json" { 3 } else { 2 }],
        ));
        let sign = if json == "--json" { "{\"version\":" } else { "evener 0" };
        watched.prints(|out| out.matches(sign).count() >= 3).await;
        send(watched.child.id(), signal);
        assert_eq!(watched.ended().await, Some(0));
        let out = watched.out.lock().clone();
        assert!(!out.contains('\x1b'), "{out:?}");
        if json == "--json" {
            assert!(out.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{out}");
        }
    }
}

#[tokio::test]
async fn whoever_has_read_enough_ends_the_watch() {
    let (running, _endpoint) = started().await;
    let mut command = command(&running.file(""), &["status", "--watch=0.1"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.starts_with("evener "), "{line}");
    eventually("it ends", async || child.try_wait().unwrap().is_some()).await;
    assert_eq!(told(&child.wait_with_output().unwrap()), (0, String::new(), String::new()));
}

#[tokio::test]
async fn where_nobody_answers_a_watch_does_not_begin() {
    let (running, _endpoint) = started().await;
    let (code, out, err) = running.evener(&["status", "--watch", "--socket", "nowhere.sock"]).await;
    assert!(code == 1 && out.is_empty() && err.contains("nobody answers on nowhere.sock"), "{err}");
    assert_eq!(running.evener(&["status", "--watch=0"]).await.0, 2);
}

#[tokio::test]
async fn top_wants_a_terminal() {
    let (running, _endpoint) = started().await;
    let (code, out, err) = running.evener(&["top"]).await;
    assert_eq!((code, &*out), (1, ""));
    assert!(err.contains("this is no terminal") && err.contains("`evener status --watch`"), "{err}");
}

/// `evener top` in a terminal of its own, which script(1) makes, and what the shell around it says of the terminal after.
fn top(running: &Running) -> Watched {
    let shell = format!(
        "stty rows 24 cols 100; before=$(stty -g); echo shell $$; '{}' top; code=$?; \
         [ \"$before\" = \"$(stty -g)\" ] && echo restored; echo code $code",
        env!("CARGO_BIN_EXE_evener")
    );
    let mut script = Command::new("script");
    script.args(["-q", "-e", "-c", &shell, "/dev/null"]).current_dir(running.file(""));
    script.env("TERM", "xterm-256color").env("SHELL", "/bin/sh").env_remove("NO_COLOR");
    Watched::start(script)
}

const ALTERNATE: &str = "\x1b[?1049h";
const BACK: &str = "\x1b[?1049l";

#[tokio::test]
async fn top_shows_and_steers_and_leaves_the_terminal_as_it_was() {
    let (running, endpoint) = started().await;
    let mut top = top(&running);
    let address = endpoint.address().to_string();
    top.has(&address).await;
    assert!(top.out.lock().contains(ALTERNATE));
    top.press("jd");
    // What was blank before is not sent again, so that only words are whole.
    top.has("requests.").await;
    let state = async || running.status().await["pools"][0]["endpoints"][0]["state"].clone();
    assert_eq!(state().await, "fit");
    top.press("y");
    eventually("it is drained", async || state().await == "drained").await;
    top.press("uy");
    eventually("it is fit", async || state().await == "fit").await;
    top.press("w42\r");
    let weight = async || running.status().await["pools"][0]["endpoints"][0]["weight"].clone();
    eventually("it has another weight", async || weight().await == 42).await;
    top.press("q");
    top.has("code 0").await;
    let out = top.out.lock().clone();
    assert!(out.contains(BACK) && out.contains("restored"), "{out:?}");
}

#[tokio::test]
async fn a_signal_ends_top_and_leaves_the_terminal_as_it_was() {
    let (running, endpoint) = started().await;
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let top = top(&running);
        top.has(&endpoint.address().to_string()).await;
        let others = running.processes_of_any_kind();
        let is_top = |id: &u32| {
            let line = std::fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0).nth(1) == Some(b"top")
        };
        let ids: Vec<_> = others.into_iter().filter(is_top).collect();
        assert_eq!(ids.len(), 1);
        send(ids[0], signal);
        top.has("code 0").await;
        let out = top.out.lock().clone();
        assert!(out.contains(BACK) && out.contains("restored"), "{out:?}");
    }
}
