//! The access log: what lines say, which there are, and where they go.

mod forms;
mod sinks;

use crate::support::{Client, Edge, eventually};

/// What stands in the file of the access log, once that has so many lines.
async fn lines_of(edge: &Edge, count: usize) -> Vec<String> {
    let read = || std::fs::read_to_string(edge.folder().join("access.log")).unwrap_or_default();
    eventually("the access log has its lines", async || read().lines().count() >= count).await;
    let lines: Vec<_> = read().lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), count, "{lines:?}");
    lines
}

/// A count of the access log's lines.
async fn count(edge: &Edge, result: &str) -> u64 {
    let mut client = Client::connect(edge.admin_address()).await;
    client.send("GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let response = client.response().await;
    let series = format!("evener_access_log_lines_total{{result=\"{result}\"}} ");
    let told = response.text().lines().find_map(|line| line.strip_prefix(&series));
    told.unwrap_or_else(|| panic!("{series} is not told")).parse().unwrap()
}
