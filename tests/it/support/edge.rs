use std::net::SocketAddr;
use std::path::Path;

use evener::app::{App, AppBuilder, RunningApp};
use evener::types::BindAddr;
use tempfile::TempDir;

use super::{Client, Response, eventually};

/// An edge on this test's runtime. It stops when it is dropped.
pub struct Edge {
    running: RunningApp,
    folder: TempDir,
}

impl Edge {
    /// Starts a configuration. Listeners bind `127.0.0.1:0`; `LOG` in the text stands for the access log's file,
    /// `DIR` for a folder of this edge's own.
    pub async fn start(config: &str) -> Self {
        Self::start_with(App::builder(), config).await
    }

    /// The same for a program with hooks of its own.
    pub async fn start_with(builder: AppBuilder, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = filled_in(config, folder.path());
        let app = builder.load_text("test.yaml", folder.path(), &config);
        let app = app.unwrap_or_else(|error| panic!("{error}\n{config}"));
        Self { running: app.bind().unwrap().start(), folder }
    }

    /// Serves another configuration from now on; what differs.
    pub async fn reload(&self, config: &str) -> String {
        let reloaded = self.try_reload(config).await;
        reloaded.unwrap_or_else(|error| panic!("{error}\n{config}"))
    }

    /// The same where it may be refused.
    pub async fn try_reload(&self, config: &str) -> Result<String, String> {
        let reloaded = self.running.reload_text(&filled_in(config, self.folder.path())).await;
        reloaded.map(|reloaded| reloaded.to_string()).map_err(|error| error.to_string())
    }

    /// Has what is served be read again; what differs.
    pub async fn reread(&self) -> String {
        self.running.reload().await.unwrap().to_string()
    }

    /// The first address of the first listener.
    pub fn address(&self) -> SocketAddr {
        self.addresses()[0]
    }

    /// The addresses of all listeners, in their order.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let inet = |(_, address): &(_, BindAddr)| match address {
            BindAddr::Inet(inet) => Some(*inet),
            BindAddr::Unix(_) => None,
        };
        self.running.addresses().iter().filter_map(inet).collect()
    }

    /// The addresses of `admin` at this moment.
    pub fn admin_addresses(&self) -> Vec<BindAddr> {
        self.running.admin_addresses()
    }

    /// The first address of `admin`.
    pub fn admin_address(&self) -> SocketAddr {
        match &self.admin_addresses()[0] {
            BindAddr::Inet(inet) => *inet,
            BindAddr::Unix(path) => panic!("{} is a file", path.display()),
        }
    }

    /// A folder of this edge's own, where `DIR` is.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The lines of the access log so far.
    pub fn log(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(self.folder.path().join("access.log")).unwrap_or_default();
        // The last line may be half written.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The lines of the access log, once there are so many.
    pub async fn log_of(&self, count: usize) -> Vec<serde_json::Value> {
        eventually("the access log has its lines", async || self.log().len() >= count).await;
        self.log()
    }

    /// A connection to the first listener.
    pub async fn connect(&self) -> Client {
        Client::connect(self.address()).await
    }

    /// Sends one request on a connection of its own and reads the answer.
    pub async fn send(&self, request: &str) -> Response {
        let mut client = self.connect().await;
        client.send(request).await;
        client.response().await
    }

    /// Asks for a path of `example.com` on a connection of its own.
    pub async fn get(&self, path: &str) -> Response {
        self.send(&format!("GET {path} HTTP/1.1\r\nHost: example.com\r\n\r\n")).await
    }

    /// Drains the edge, waits for its end and keeps its folder.
    pub async fn stop_and_keep(self) -> TempDir {
        self.running.stop().await;
        self.folder
    }

    /// Drains the edge and waits for its end.
    pub async fn stop(self) {
        self.running.stop().await;
    }
}

fn filled_in(config: &str, folder: &Path) -> String {
    let dir = folder.to_str().unwrap();
    // Not one word after the other: the name of the folder may have either in it.
    let parts = config.split("LOG").map(|part| part.replace("DIR", dir));
    let config = parts.collect::<Vec<_>>().join(&format!("{dir}/access.log"));
    if config.contains("\nlog:") || config.starts_with("log:") {
        config
    } else {
        format!("{config}\nlog: {{ access: {{ format: off }} }}\n")
    }
}
