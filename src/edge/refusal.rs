use std::time::{Duration, SystemTime};

use bytes::BytesMut;
use http::{HeaderMap, StatusCode};
use pingora_core::protocols::Shutdown;
use tokio::io::AsyncWriteExt;

use crate::gateway::HttpApp;
use crate::runtime::{Cause, Connection, ErrorAnswer, ErrorBody, error_answer};
use crate::telemetry::{AccessLine, AccessLog, Occasion, Timings, started};
use crate::types::{VarName, Variable, Vars};

use super::stream::EdgeStream;

/// What is known of a client whose request never became one.
struct ConnectionVars<'a>(&'a Connection);

impl Vars for ConnectionVars<'_> {
    fn write(&self, variable: Variable, out: &mut Vec<u8>) {
        let text = match variable {
            Variable::Listener => self.0.listener().name.as_str(),
            Variable::Scheme => self.0.scheme().as_str(),
            Variable::ClientIp => return out.extend_from_slice(self.0.peer_ip().to_string().as_bytes()),
            _ => "",
        };
        out.extend_from_slice(text.as_bytes());
    }

    fn write_named(&self, _: &VarName, _: &mut Vec<u8>) {}
}

/// The answer to a request that never became one, but for the headers that it came with, if any did.
pub(super) fn refusal(
    app: &HttpApp,
    connection: &Connection,
    cause: &Cause,
    headers: &HeaderMap,
) -> ErrorAnswer {
    let answer = error_answer(cause, ErrorBody::Text, None);
    answer.on_page(&app.snapshot().error_pages, cause, headers, &ConnectionVars(connection))
}

/// Answers a request that never became one, and closes the connection. To be boxed: what stands in the task of a connection in
/// full is memory of every one for its life.
pub(super) async fn refuse(mut stream: Box<EdgeStream>, cause: &Cause, app: &HttpApp, log: &AccessLog) {
    let answer = refusal(app, stream.connection(), cause, &HeaderMap::new());
    // Which version it would have been, its first line tells; mostly that has not come, or is none.
    note_refusal(stream.connection(), "", cause, answer.body.len(), log);
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

/// Counts what was refused before it was a request, and writes its line; `protocol` is empty where nobody knows.
pub(super) fn note_refusal(
    connection: &Connection,
    protocol: &str,
    cause: &Cause,
    bytes_out: usize,
    log: &AccessLog,
) {
    connection.listener().stats.refused.count(cause);
    let Some(line) = log.begin(Occasion { is_error: true, took: None }, None) else { return };
    line.write(&AccessLine {
        began: started(Duration::ZERO),
        request_id: None,
        trace_id: None,
        span_id: None,
        client: Some(connection.peer_ip()),
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
        request_headers: None,
        response_headers: None,
        vars: &ConnectionVars(connection),
    });
}
