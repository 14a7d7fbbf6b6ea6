use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::simulate::SimulateError;
use crate::simulate::traffic::{Request, Sender};

use super::{Problems, millis, read_text};

/// Reads a table with the columns `arrival_ms`, `cost_ms` and perhaps `key`, which its first line names.
pub(in crate::simulate) fn read_table(file: &Path) -> Result<Vec<Request>, SimulateError> {
    let text = read_text(file)?;
    let mut problems = Problems::new(file);
    let mut reader =
        ReaderBuilder::new().has_headers(false).flexible(true).trim(Trim::All).from_reader(text.as_bytes());
    let mut records = reader.records();
    let header = records.next().and_then(Result::ok).unwrap_or_default();
    let mut requests = Vec::new();
    match Columns::read(&header) {
        Err(message) => problems.add(1, message),
        Ok(mut columns) => {
            for record in records {
                match record {
                    Ok(record) => {
                        let line = line_of(&record, &text);
                        requests.extend(columns.request(&record, line, &mut problems));
                    }
                    Err(error) => problems.add(error.position().map_or(0, csv::Position::line), error),
                }
            }
        }
    }
    problems.or_requests(requests)
}

/// Where each column stands.
struct Columns {
    count: usize,
    arrival: usize,
    cost: usize,
    key: Option<usize>,
    senders: BTreeMap<String, Arc<Sender>>,
}

const ALLOWED: &str = "allowed: arrival_ms,cost_ms or arrival_ms,cost_ms,key";

impl Columns {
    fn read(header: &StringRecord) -> Result<Self, String> {
        let place = |name: &str| header.iter().position(|found| found == name);
        let known = ["arrival_ms", "cost_ms", "key"];
        if let Some((index, found)) = header.iter().enumerate().find(|(_, found)| !known.contains(found)) {
            return Err(format!("column {}: found `{found}` in the header; {ALLOWED}", index + 1));
        }
        let needed = |name| place(name).ok_or(format!("the header names no column `{name}`; {ALLOWED}"));
        let (arrival, cost) = (needed("arrival_ms")?, needed("cost_ms")?);
        Ok(Self { count: header.len(), arrival, cost, key: place("key"), senders: BTreeMap::new() })
    }

    fn request(&mut self, record: &StringRecord, line: u64, problems: &mut Problems<'_>) -> Option<Request> {
        if record.len() != self.count {
            problems
                .add(line, format_args!("found {} columns, the header names {}", record.len(), self.count));
            return None;
        }
        let mut time = |column, name| {
            let time = read_millis(&record[column]);
            if time.is_none() {
                let (column, found) = (column + 1, &record[column]);
                problems.add(
                    line,
                    format_args!(
                        "column {column}: {name}: found `{found}`; allowed: milliseconds from 0 on, like 12.5"
                    ),
                );
            }
            time
        };
        let (arrival, cost) = (time(self.arrival, "arrival_ms"), time(self.cost, "cost_ms"));
        let sender = match self.key {
            Some(column) => self.sender(&record[column]),
            // Nobody is known to come back.
            None => Arc::new(Sender::number(line as u32)),
        };
        Some(Request { arrival: arrival?, cost: cost?, sender })
    }

    /// Equal keys are one client; each further one has another address, or the one that the key is.
    fn sender(&mut self, key: &str) -> Arc<Sender> {
        let number = self.senders.len() as u32;
        let sender = || {
            let client = key.parse().unwrap_or(Sender::number(number).client);
            Arc::new(Sender { client, path: format!("/{key}"), ..Sender::number(number) })
        };
        self.senders.entry(key.to_owned()).or_insert_with(sender).clone()
    }
}

/// The reader takes empty lines for the beginning of the record that follows them.
fn line_of(record: &StringRecord, text: &str) -> u64 {
    let Some(position) = record.position() else { return 0 };
    let rest = text.as_bytes().get(position.byte() as usize..).unwrap_or_default();
    let empty = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).filter(|&&byte| byte == b'\n');
    position.line() + empty.count() as u64
}

fn read_millis(text: &str) -> Option<Duration> {
    text.parse().ok().and_then(millis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::input::temporary;

    fn read(text: &str) -> Result<Vec<Request>, String> {
        let (_folder, file) = temporary(text);
        let place = file.display().to_string();
        read_table(&file).map_err(|error| error.to_string().replace(&place, "x.csv"))
    }

    #[test]
    fn reads_rows_in_the_order_of_time() {
        let requests =
            read("arrival_ms, cost_ms, key\n20,1,b\n10.5,2.25,a\n30,3,b\n40,1,10.0.0.9\n").unwrap();
        let times: Vec<_> = requests.iter().map(|request| request.arrival.as_micros()).collect();
        assert_eq!(times, [0, 9500, 19_500, 29_500]);
        assert_eq!(requests[0].cost, Duration::from_micros(2250));
        assert_eq!(requests[1].sender, requests[2].sender);
        assert_ne!(requests[0].sender.client, requests[1].sender.client);
        assert_eq!(requests[3].sender.client.to_string(), "10.0.0.9");
        assert_eq!(requests[0].sender.path, "/a");
    }

    #[test]
    fn columns_may_stand_in_any_order() {
        assert_eq!(read("cost_ms,arrival_ms\n7,1\n").unwrap()[0].cost, Duration::from_millis(7));
    }

    #[test]
    fn says_where_and_what_is_wrong_and_what_is_allowed() {
        for (text, expected) in [
            (
                "",
                "x.csv:1: the header names no column `arrival_ms`; allowed: arrival_ms,cost_ms or arrival_ms,cost_ms,key",
            ),
            (
                "1,2\n",
                "x.csv:1: column 1: found `1` in the header; allowed: arrival_ms,cost_ms or arrival_ms,cost_ms,key",
            ),
            (
                "arrival_ms,key\n1,2\n",
                "x.csv:1: the header names no column `cost_ms`; allowed: arrival_ms,cost_ms or arrival_ms,cost_ms,key",
            ),
            ("arrival_ms,cost_ms\n", "x.csv: there are no requests in it"),
            (
                "arrival_ms,cost_ms\n1,2\nten,-1\n\n1,2,3\n1,NaN\n",
                "x.csv:3: column 1: arrival_ms: found `ten`; allowed: milliseconds from 0 on, like 12.5\n\
                 x.csv:3: column 2: cost_ms: found `-1`; allowed: milliseconds from 0 on, like 12.5\n\
                 x.csv:5: found 3 columns, the header names 2\n\
                 x.csv:6: column 2: cost_ms: found `NaN`; allowed: milliseconds from 0 on, like 12.5",
            ),
        ] {
            assert_eq!(read(text).unwrap_err(), expected);
        }
        let many = format!("arrival_ms,cost_ms\n{}", "x,1\n".repeat(25));
        assert!(read(&many).unwrap_err().ends_with("\nx.csv: and 15 more"));
    }
}
