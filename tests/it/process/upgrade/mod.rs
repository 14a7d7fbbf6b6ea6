//! Another process in the place of one that runs: what it takes over, and what becomes of both when something goes wrong.

mod carried;
mod deaths;
mod ends;
mod manager;
mod refusals;
mod tls;
mod turns;

use std::os::unix::fs::PermissionsExt;

use crate::support::eventually;

use super::Running;
use super::control::{Started, evener, status};

/// The id of the process that answers on the control socket.
async fn serving(running: &Running) -> u32 {
    u32::try_from(status(running).await["process"].as_u64().unwrap()).unwrap()
}

/// Has another process take over, and tells its id.
async fn upgrade(running: &Running, arguments: &[&str]) -> u32 {
    let before = serving(running).await;
    let (code, out, err) = evener(running, &[&["upgrade"], arguments].concat()).await;
    assert_eq!((code, &*err), (0, ""));
    let after = serving(running).await;
    assert_ne!(before, after);
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!("evener {version} serves, process {after}; the old process finishes its work\n");
    assert_eq!(out, expected);
    after
}

/// Asks for an upgrade that is refused, and tells why.
async fn refused(running: &Running, arguments: &[&str]) -> String {
    let (code, out, err) = evener(running, &[&["upgrade"], arguments].concat()).await;
    assert_eq!((code, &*out), (1, ""), "{err}");
    err.strip_prefix("evener: nothing has changed: ").unwrap_or_else(|| panic!("{err}")).to_owned()
}

/// Waits until no process is left but these.
async fn only(running: &Running, ids: &[u32]) {
    eventually(&format!("{ids:?} are left"), async || running.processes() == ids).await;
}

/// An upgrade whose new process does not come up before it may.
struct Slow {
    asked: Started,
}

impl Slow {
    /// Begins it; the new process is to do this once it may.
    async fn begin(running: &Running, then: &str) -> Self {
        let (program, begun, go) = (running.file("program"), running.file("begun"), running.file("go"));
        let text = format!(
            "#!/bin/sh\n: > {}\nwhile [ ! -e {} ]; do sleep 0.02; done\n{then}\n",
            begun.display(),
            go.display()
        );
        std::fs::write(&program, text).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let asked = Started::new(&running.file(""), &["upgrade", "--binary", program.to_str().unwrap()]);
        eventually("the new process has begun", async || begun.exists()).await;
        Self { asked }
    }

    /// Begins one that is to succeed.
    async fn begin_well(running: &Running) -> Self {
        Self::begin(running, &format!("exec {} \"$@\"", env!("CARGO_BIN_EXE_evener"))).await
    }

    /// Lets the new process go on, and waits for what the command says: exit code, standard output and standard error.
    async fn go_on(self, running: &Running) -> (i32, String, String) {
        std::fs::write(running.file("go"), "").unwrap();
        self.asked.ended().await
    }
}
