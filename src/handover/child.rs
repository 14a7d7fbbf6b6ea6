use std::ffi::OsString;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::time::timeout;

use super::error::Cause;
use super::limits::Deadline;
use super::message::Protocol;

/// What is started as the new process.
#[derive(Clone, Debug)]
pub(crate) struct Program {
    pub(crate) path: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// Set besides what this process has in its own environment.
    pub(crate) env: Vec<(OsString, OsString)>,
}

/// The new process, which is killed when this is dropped before it was let go.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    is_let_go: bool,
}

/// These speak of the old process, and of descriptors that only it has.
const NOT_INHERITED: [&str; 4] = ["LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "WATCHDOG_PID"];
/// How long a process that said its last words, or has closed its connection, has to end by itself, and what it wrote
/// to be read after its end.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// How long it has after SIGTERM.
const AFTER_TERM: Duration = Duration::from_secs(2);

impl Child {
    /// Starts the program with `socket` as its standard input.
    pub(super) fn start(program: &Program, socket: UnixStream) -> Result<Self, Cause> {
        let mut command = Command::new(&program.path);
        command.args(&program.args).envs(program.env.iter().map(|(name, value)| (name, value)));
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        command.env(super::VARIABLE, Protocol::SPOKEN.latest().to_string());
        command.stdin(Stdio::from(OwnedFd::from(socket)));
        let not_started = |error: io::Error| match Cause::from(error) {
            Cause::Io(source) => Cause::NotStarted { program: program.path.clone(), source },
            other => other,
        };
        let process = command.spawn().map_err(not_started)?;
        Ok(Self { process, is_let_go: false })
    }

    /// Its id, until its end is known.
    pub(super) fn id(&self) -> Option<u32> {
        self.process.id()
    }

    /// From here on it lives as long as it likes.
    pub(super) fn let_go(&mut self) {
        self.is_let_go = true;
    }

    /// Does the work before the deadline, and as long as the process lives. What it wrote before its end counts.
    pub(super) async fn attend<T>(
        &mut self,
        deadline: Deadline,
        work: impl Future<Output = Result<T, Cause>>,
    ) -> Result<T, Cause> {
        let mut work = pin!(deadline.keep(work));
        let done = tokio::select! {
            biased;
            done = &mut work => done,
            _ = self.process.wait() => timeout(LAST_WORDS, work).await.unwrap_or(Err(Cause::Closed)),
        };
        match done {
            Err(cause) if cause.is_gone() => match self.status().await {
                Some(status) => Err(Cause::Exited { status, awaited: deadline.awaited }),
                None => Err(cause),
            },
            done => done,
        }
    }

    /// How it has ended, where it does so in a moment.
    pub(super) async fn status(&mut self) -> Option<ExitStatus> {
        timeout(LAST_WORDS, self.process.wait()).await.ok()?.ok()
    }

    /// Ends it and waits for that; returns how it has ended, if that is known.
    pub(super) async fn end(&mut self) -> Option<ExitStatus> {
        self.terminate();
        if let Ok(ended) = timeout(AFTER_TERM, self.process.wait()).await {
            return ended.ok();
        }
        if let Err(error) = self.process.kill().await {
            log::error!("the new process cannot be killed error={error}");
        }
        self.process.wait().await.ok()
    }

    fn terminate(&self) {
        let pid = self.id().and_then(|id| Pid::from_raw(id.cast_signed()));
        if let Some(pid) = pid {
            // Its end may come by itself meanwhile; until it is waited for nobody else has its id.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if !self.is_let_go && self.id().is_some() {
            // It may have ended; tokio waits for what is left of it.
            let _: io::Result<()> = self.process.start_kill();
        }
    }
}
