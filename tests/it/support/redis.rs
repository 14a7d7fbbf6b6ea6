use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::certs::{Ca, Issued};
use super::eventually;

/// A `redis-server` that listens on a Unix socket only and writes nothing to disk. It is killed when it is dropped.
pub struct Redis {
    folder: TempDir,
    arguments: Vec<String>,
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
        Self { folder: tempfile::tempdir().unwrap(), arguments: Vec::new(), server: None }
    }

    /// One that also answers over TLS, with this certificate, at the port that is told.
    pub async fn over_tls(ca: &Ca, issued: &Issued, arguments: &[&str]) -> (Self, u16) {
        const ATTEMPTS: usize = 5;

        let mut redis = Self::absent();
        for (name, pem) in
            [("ca.pem", ca.pem()), ("cert.pem", &issued.cert_pem), ("key.pem", &issued.key_pem)]
        {
            std::fs::write(redis.folder.path().join(name), pem).unwrap();
        }
        for _ in 0..ATTEMPTS {
            // It cannot be told to find a port by itself, so that somebody else may be faster.
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let tls = format!(
                "--tls-port {port} --bind 127.0.0.1 --tls-cert-file cert.pem --tls-key-file key.pem \
                 --tls-ca-cert-file ca.pem --tls-auth-clients no"
            );
            let tls = tls.split(' ').filter(|word| !word.is_empty()).map(str::to_owned);
            redis.arguments = tls.chain(arguments.iter().map(|&argument| argument.to_owned())).collect();
            if redis.is_back().await {
                return (redis, port);
            }
        }
        panic!("Redis found no port");
    }

    /// Starts it again, without anything that it knew.
    pub async fn come_back(&mut self) {
        assert!(self.is_back().await, "Redis has ended");
    }

    async fn is_back(&mut self) -> bool {
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "no", "--unixsocket"]);
        command.arg(self.socket()).args(&self.arguments);
        let server = command.current_dir(self.folder.path()).stdout(Stdio::null()).spawn();
        let mut server = server.expect("redis-server runs; scripts/need redis-server installs it");
        let mut has_ended = false;
        eventually("Redis answers, or ends", async || {
            has_ended = server.try_wait().unwrap().is_some();
            has_ended || UnixStream::connect(self.socket()).await.is_ok()
        })
        .await;
        self.server = Some(server);
        !has_ended
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

    /// How many commands it was given, with those that asked here.
    pub async fn commands(&self) -> u64 {
        self.counted("total_commands_processed:").await
    }

    /// What it has in which of its databases.
    pub async fn keyspace(&self) -> String {
        ask(&self.socket(), "INFO keyspace").await
    }

    /// How many connections others have to it.
    pub async fn clients(&self) -> usize {
        let list = ask(&self.socket(), "CLIENT LIST").await;
        list.lines().filter(|line| line.starts_with("id=")).count() - 1
    }

    /// How many connections there were, with those that asked here.
    pub async fn accepted(&self) -> u64 {
        self.counted("total_connections_received:").await
    }

    async fn counted(&self, what: &str) -> u64 {
        let info = ask(&self.socket(), "INFO stats").await;
        let field = info.lines().find_map(|line| line.strip_prefix(what));
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
