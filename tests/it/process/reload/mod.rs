//! Another configuration for a process that runs: by command, by signal, by its file.

mod carried;
mod going_back;
mod include;
mod probation;
mod refusals;
mod served;
mod watch;

use crate::support::Client;

use super::Running;

/// A configuration that answers everything with this status, with further keys for the server.
pub(super) fn responding(server: &str, status: u16) -> String {
    format!(
        "server: {{ {server} }}
listeners: {{ web: {{ bind: 127.0.0.1:0 }} }}
routes: [{{ name: all, respond: {{ status: {status} }} }}]
log: {{ access: {{ format: off }} }}
"
    )
}

/// Writes this as the configuration of a process.
pub(super) fn write(running: &Running, config: &str) {
    std::fs::write(running.file("edge.yaml"), config).unwrap();
}

/// The status of the answer to a request.
pub(super) async fn answer(running: &Running) -> u16 {
    let mut client = Client::connect(running.address()).await;
    client.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    client.response().await.status
}
