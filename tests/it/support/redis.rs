use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::eventually;

/// A `redis-server` that listens on a Unix socket only and writes nothing to disk. It is killed when it is dropped.
pub struct Redis {
    folder: TempDir,
    server: Option<Child>,
}

impl Redis {
    /// One that answers.
    pub async fn start() -> Self {
        let mut redis = Self::absent();
        redis.come_back().await;
        redis
    }

    /// The place of one that does not run yet.
    pub fn absent() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), server: None }
    }

    /// Starts it again, without anything that it knew.
    pub async fn come_back(&mut self) {
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]);
        command.arg(self.socket()).current_dir(self.folder.path()).stdout(Stdio::null());
        let server = command.spawn();
        self.server = Some(server.expect("redis-server runs; scripts/need redis-server installs it"));
        eventually("Redis answers", async || UnixStream::connect(self.socket()).await.is_ok()).await;
    }

    /// As a power cut would end it.
    pub fn kill(&mut self) {
        if let Some(mut server) = self.server.take() {
            server.kill().unwrap();
            server.wait().unwrap();
        }
    }

    /// What `server.stores.*.redis` is.
    pub fn address(&self) -> String {
        format!("unix:{}", self.socket().display())
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("redis.sock")
    }

    /// How many keys it knows.
    pub async fn keys(&self) -> u64 {
        let reply = ask(&self.socket(), "DBSIZE").await;
        reply.trim_start_matches(':').trim().parse().unwrap()
    }

    /// How many connections others have to it.
    pub async fn clients(&self) -> usize {
        let list = ask(&self.socket(), "CLIENT LIST").await;
        list.lines().filter(|line| line.starts_with("id=")).count() - 1
    }

    /// How many connections there were, with those that asked here.
    pub async fn accepted(&self) -> u64 {
        let info = ask(&self.socket(), "INFO stats").await;
        let field = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        field.unwrap().trim().parse().unwrap()
    }
}

/// The answer to one command, on a connection of its own.
async fn ask(socket: &Path, command: &str) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply.trim_end().trim_end_matches("+OK").to_owned()
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.kill();
    }
}
