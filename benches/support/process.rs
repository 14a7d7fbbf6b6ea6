use std::{
    ffi::OsString,
    fs::{self, File},
    net::{SocketAddr, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};

use super::Outcome;

/// How long a process may take until it accepts connections.
const START: Duration = Duration::from_secs(15);
/// How long a process may take to leave when asked, before it is killed.
const LEAVE: Duration = Duration::from_secs(3);
const POLL: Duration = Duration::from_millis(10);

/// A child process with its descendants. Dropping it ends them all, by id.
#[derive(Debug)]
pub(crate) struct Running {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts `words` as `name`, and waits until `ready` accepts a connection. Its output goes to a file in `dir`.
    pub(crate) fn start(name: &str, words: &[OsString], dir: &Path, ready: SocketAddr) -> Outcome<Self> {
        let log = dir.join(format!("{name}.log"));
        let output = File::create(&log)?;
        let child = command(words)
            .current_dir(dir)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            .spawn()
            .map_err(|error| format!("cannot start {name}: {error}"))?;
        let mut running = Self { name: name.to_owned(), child, log };
        running.wait_for(ready)?;
        Ok(running)
    }

    fn wait_for(&mut self, ready: SocketAddr) -> Outcome<()> {
        let deadline = Instant::now() + START;
        while TcpStream::connect_timeout(&ready, POLL * 10).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(format!(
                    "{} ended with {status} instead of listening:\n{}",
                    self.name,
                    self.said()
                )
                .into());
            }
            if Instant::now() > deadline {
                return Err(format!(
                    "{} does not listen on {ready} after {START:?}:\n{}",
                    self.name,
                    self.said()
                )
                .into());
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// What the process wrote so far.
    pub(crate) fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The ids of the process and of all that it started.
    pub(crate) fn tree(&self) -> Vec<u32> {
        descendants(self.child.id())
    }

    fn gone_within(&mut self, limit: Duration) -> bool {
        let deadline = Instant::now() + limit;
        loop {
            if !matches!(self.child.try_wait(), Ok(None)) {
                return true;
            }
            if Instant::now() > deadline {
                return false;
            }
            thread::sleep(POLL);
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !matches!(self.child.try_wait(), Ok(None)) {
            return;
        }
        let tree = self.tree();
        signal(self.child.id(), Signal::TERM);
        if !self.gone_within(LEAVE) {
            for pid in tree {
                signal(pid, Signal::KILL);
            }
        }
        // An error here means that the child was already reaped.
        let _ = self.child.wait();
    }
}

/// Runs `words` to their end and returns what they printed; kills them when they take longer than `limit`.
pub(crate) fn output_of(words: &[OsString], limit: Duration) -> Outcome<String> {
    let name = words.first().map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    let child = command(words)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| format!("cannot start {name}: {error}"))?;
    let mut running = Running { name, child, log: PathBuf::new() };
    if !running.gone_within(limit) {
        return Err(format!("{} did not end within {limit:?}", running.name).into());
    }
    let mut text = String::new();
    if let Some(mut stdout) = running.child.stdout.take() {
        std::io::Read::read_to_string(&mut stdout, &mut text)?;
    }
    if let Some(mut stderr) = running.child.stderr.take() {
        std::io::Read::read_to_string(&mut stderr, &mut text)?;
    }
    Ok(text)
}

/// A command that is asked to end when this process dies, however it dies, where `setpriv` is at hand for that.
fn command(words: &[OsString]) -> Command {
    let mut all: Vec<OsString> = Vec::new();
    if let Some(setpriv) = find("setpriv") {
        all.push(setpriv.into());
        all.extend(["--pdeathsig", "TERM", "--"].map(OsString::from));
    }
    all.extend_from_slice(words);
    let mut command = Command::new(all.first().cloned().unwrap_or_default());
    command.args(all.iter().skip(1));
    command
}

/// The path of a program; also looks in the directories for daemons, which a user's PATH may lack.
pub(crate) fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/local/sbin", "/usr/sbin", "/sbin"].map(PathBuf::from))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}

/// Signals one process by its id. That it has gone in the meantime is no error.
fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}

fn descendants(root: u32) -> Vec<u32> {
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(&pid) = tree.get(next) {
        tree.extend(children(pid));
        next += 1;
    }
    tree
}

/// The children of all threads of a process.
fn children(pid: u32) -> Vec<u32> {
    let Ok(tasks) = fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    tasks
        .flatten()
        .filter_map(|task| fs::read_to_string(task.path().join("children")).ok())
        .flat_map(|list| list.split_whitespace().filter_map(|id| id.parse().ok()).collect::<Vec<u32>>())
        .collect()
}
