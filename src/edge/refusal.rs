use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use http::StatusCode;
use pingora_core::protocols::Shutdown;
use tokio::io::AsyncWriteExt;

use crate::runtime::{Cause, Connection, ErrorBody, error_answer};
use crate::telemetry::{AccessLine, AccessLog, Timings, started};

use super::stream::EdgeStream;

/// Answers a request that never became one, and closes the connection.
pub(super) async fn refuse(mut stream: Box<EdgeStream>, cause: &Cause, log: &AccessLog) {
    let answer = error_answer(cause, ErrorBody::Text, None);
    note_refusal(stream.connection(), "HTTP/1", cause, answer.body.len(), log);
    let mut text = BytesMut::with_capacity(512);
    text.extend_from_slice(format!("HTTP/1.1 {}\r\n", status_line(answer.status)).as_bytes());
    for (name, value) in &answer.headers {
        text.extend_from_slice(name.as_str().as_bytes());
        text.extend_from_slice(b": ");
        text.extend_from_slice(value.as_bytes());
        text.extend_from_slice(b"\r\n");
    }
    let date = httpdate::fmt_http_date(SystemTime::now());
    let rest = format!("date: {date}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.body.len());
    text.extend_from_slice(rest.as_bytes());
    text.extend_from_slice(&answer.body);
    // A client that is gone needs no answer.
    if stream.write_all(&text).await.is_ok() {
        Shutdown::shutdown(&mut *stream).await;
    }
}

fn status_line(status: StatusCode) -> String {
    format!("{} {}", status.as_str(), status.canonical_reason().unwrap_or("Error"))
}

/// Counts what was refused before it was a request, and writes its line.
pub(super) fn note_refusal(
    connection: &Connection,
    protocol: &str,
    cause: &Cause,
    bytes_out: usize,
    log: &AccessLog,
) {
    connection.listener().stats.refused.count(cause);
    if !log.is_on() {
        return;
    }
    log.write(&AccessLine {
        time: started(Duration::ZERO),
        request_id: None,
        client: connection.peer_ip().to_string(),
        listener: connection.listener().name.as_str(),
        protocol,
        method: "",
        host: "",
        target: "",
        status: cause.status().as_u16(),
        cause: Some(cause.word()),
        grpc_status: None,
        rate_limit: None,
        waf: None,
        cache: None,
        route: None,
        pool: None,
        endpoint: None,
        attempts: 0,
        bytes_in: 0,
        bytes_out: bytes_out as u64,
        ms: Timings::default(),
        user_agent: None,
    });
}
