use std::fs::File;
use std::io::BufReader;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::sync::Arc;
use std::time::SystemTime;

use serde::Deserialize;

use crate::simulate::SimulateError;
use crate::simulate::traffic::{Request, Sender};
use crate::telemetry::read_lines;

use super::{Problems, millis, unreadable};

/// What is taken from a line of the access log.
#[derive(Debug, Deserialize)]
struct Line {
    time: String,
    client: Option<String>,
    #[serde(default)]
    host: String,
    #[serde(default)]
    target: String,
    pool: Option<String>,
    ms: Phases,
}

#[derive(Debug, Deserialize)]
struct Phases {
    /// What the endpoint took; what comes after it depends on the client, too.
    first_byte: Option<f64>,
}

/// Requests of a log, and how many of its lines tell of none that an endpoint answered.
#[derive(Debug)]
pub(in crate::simulate) struct Replay {
    pub(in crate::simulate) requests: Vec<Request>,
    pub(in crate::simulate) left_out: usize,
}

/// Reads the requests of one pool from an access log.
pub(in crate::simulate) fn read_access_log(file: &Path, pool: Option<&str>) -> Result<Replay, SimulateError> {
    let opened = File::open(file).map_err(|error| unreadable(file, &error))?;
    let mut problems = Problems::new(file);
    let mut lines = Vec::new();
    for read in read_lines::<Line, _>(BufReader::new(opened)) {
        match read.map_err(|error| unreadable(file, &error))? {
            (number, Ok(line)) => lines.push((number, line)),
            (number, Err(message)) => problems.add(number, message),
        }
    }
    let pool = match pool {
        Some(pool) => Some(pool.to_owned()),
        None => only_pool(file, &lines)?,
    };
    let all = lines.len();
    let mut requests = Vec::new();
    for (number, line) in lines.iter().filter(|(_, line)| line.pool == pool) {
        match request(line) {
            Ok(found) => requests.extend(found),
            Err(message) => problems.add(*number, message),
        }
    }
    let left_out = all - requests.len();
    Ok(Replay { requests: problems.or_requests(requests)?, left_out })
}

/// The pool of all requests that have one.
fn only_pool(file: &Path, lines: &[(u64, Line)]) -> Result<Option<String>, SimulateError> {
    let mut pools: Vec<_> = lines.iter().filter_map(|(_, line)| line.pool.as_deref()).collect();
    pools.sort_unstable();
    pools.dedup();
    match pools[..] {
        [] => Ok(None),
        [one] => Ok(Some(one.to_owned())),
        _ => Err(SimulateError::new(format!(
            "{}: requests of several pools; choose one with --log-pool: {}",
            file.display(),
            pools.join(", ")
        ))),
    }
}

/// The request of a line, unless no endpoint answered it.
fn request(line: &Line) -> Result<Option<Request>, String> {
    let Some(first_byte) = line.ms.first_byte else { return Ok(None) };
    let cost = millis(first_byte).ok_or_else(|| {
        format!("ms.first_byte: found `{first_byte}`; allowed: milliseconds from 0 on, like 12.5")
    })?;
    let since_epoch = humantime::parse_rfc3339(&line.time).ok();
    let arrival = since_epoch.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok());
    let arrival = arrival.ok_or_else(|| {
        format!(
            "time: found `{}`; allowed: a time of RFC 3339 in UTC, like 2030-01-01T00:00:00.000Z",
            line.time
        )
    })?;
    Ok(Some(Request { arrival, cost, sender: Arc::new(sender(line)) }))
}

fn sender(line: &Line) -> Sender {
    let (path, query) = match line.target.split_once('?') {
        Some((path, query)) => (path, Some(query.to_owned())),
        None => (line.target.as_str(), None),
    };
    // Clients on Unix sockets have no address.
    let client = line.client.as_ref().and_then(|client| client.parse().ok());
    Sender {
        client: client.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED)),
        host: line.host.clone(),
        path: path.to_owned(),
        query,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::simulate::input::temporary;

    fn read(text: &str, pool: Option<&str>) -> Result<Replay, String> {
        let (_folder, file) = temporary(text);
        let place = file.display().to_string();
        read_access_log(&file, pool).map_err(|error| error.to_string().replace(&place, "x.log"))
    }

    const LOG: &str = r#"
{"time":"2030-01-01T00:00:00.250Z","client":"10.0.0.7","host":"a.example","target":"/x?id=1","pool":"app","status":200,"ms":{"first_byte":3.5,"total":9}}
{"time":"2030-01-01T00:00:00.100Z","client":"2001:db8::1","target":"/y","pool":"app","ms":{"first_byte":2,"total":2.1}}
{"time":"2030-01-01T00:00:00.300Z","target":"/z","pool":"app","status":503,"ms":{"total":1000}}
{"time":"2030-01-01T00:00:00.400Z","status":404,"ms":{"total":0.1}}
"#;

    #[test]
    fn requests_that_an_endpoint_answered_are_read() {
        let Replay { requests, left_out } = read(LOG, None).unwrap();
        assert_eq!((requests.len(), left_out), (2, 2));
        assert_eq!(requests[1].arrival, Duration::from_millis(150));
        assert_eq!(requests[1].cost, Duration::from_micros(3500));
        let sender = &*requests[1].sender;
        assert_eq!(
            (&*sender.host, &*sender.path, sender.query.as_deref()),
            ("a.example", "/x", Some("id=1"))
        );
        assert_eq!(requests[0].sender.client.to_string(), "2001:db8::1");
    }

    #[test]
    fn one_of_several_pools_is_chosen() {
        let two = LOG.replace("/y\",\"pool\":\"app\"", "/y\",\"pool\":\"api\"");
        assert_eq!(
            read(&two, None).unwrap_err(),
            "x.log: requests of several pools; choose one with --log-pool: api, app"
        );
        assert_eq!(read(&two, Some("api")).unwrap().requests.len(), 1);
        assert_eq!(read(&two, Some("web")).unwrap_err(), "x.log: there are no requests in it");
    }

    #[test]
    fn says_where_and_what_is_wrong_and_what_is_allowed() {
        let bad = "{\"time\":\"now\",\"ms\":{\"first_byte\":1}}\nGET / 200\n{\"ms\":{}}\n";
        assert_eq!(
            read(bad, None).unwrap_err(),
            "x.log:1: time: found `now`; allowed: a time of RFC 3339 in UTC, like 2030-01-01T00:00:00.000Z\n\
             x.log:2: column 1: expected value (one JSON object in each line is expected, as the access log has them)\n\
             x.log:3: column 9: missing field `time` (one JSON object in each line is expected, as the access log has them)"
        );
        let negative = "{\"time\":\"2030-01-01T00:00:00Z\",\"ms\":{\"first_byte\":-1}}\n";
        assert!(read(negative, None).unwrap_err().contains("ms.first_byte: found `-1`; allowed"));
    }
}
