//! Requests that are read: a table of arrivals and costs, or the access log of a real run.

mod access_log;
mod table;

use std::fmt;
use std::path::Path;
use std::time::Duration;

use super::SimulateError;
use super::traffic::Request;

pub(super) use access_log::read_access_log;
pub(super) use table::read_table;

/// What is wrong with a file: each problem with its place.
struct Problems<'f> {
    file: &'f Path,
    list: Vec<(u64, String)>,
}

/// So many problems are told; a file of another kind has one in every line.
const MOST_TOLD: usize = 10;

impl<'f> Problems<'f> {
    fn new(file: &'f Path) -> Self {
        Self { file, list: Vec::new() }
    }

    fn add(&mut self, line: u64, message: impl fmt::Display) {
        self.list.push((line, format!("{}:{line}: {message}", self.file.display())));
    }

    /// The requests in the order of their arrival, the first one at zero; or all that is wrong.
    fn or_requests(mut self, mut requests: Vec<Request>) -> Result<Vec<Request>, SimulateError> {
        if !self.list.is_empty() {
            self.list.sort_by_key(|(line, _)| *line);
            let more = self.list.len().saturating_sub(MOST_TOLD);
            let mut told: Vec<_> =
                self.list.into_iter().take(MOST_TOLD).map(|(_, problem)| problem).collect();
            if more > 0 {
                told.push(format!("{}: and {more} more", self.file.display()));
            }
            return Err(SimulateError::new(told.join("\n")));
        }
        requests.sort_by_key(|request| request.arrival);
        let Some(first) = requests.first().map(|request| request.arrival) else {
            return Err(SimulateError::new(format!("{}: there are no requests in it", self.file.display())));
        };
        requests.iter_mut().for_each(|request| request.arrival -= first);
        Ok(requests)
    }
}

fn read_text(file: &Path) -> Result<String, SimulateError> {
    std::fs::read_to_string(file).map_err(|error| unreadable(file, &error))
}

fn unreadable(file: &Path, error: &std::io::Error) -> SimulateError {
    SimulateError::new(format!("{}: the file cannot be read: {error}", file.display()))
}

/// A time of at most a year in milliseconds, so that no sum overflows.
fn millis(value: f64) -> Option<Duration> {
    const YEAR: f64 = 365.0 * 24.0 * 3600.0 * 1e3;
    (0.0..=YEAR).contains(&value).then(|| Duration::from_nanos((value * 1e6) as u64))
}

#[cfg(test)]
fn temporary(text: &str) -> (tempfile::TempDir, std::path::PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("input");
    std::fs::write(&file, text).unwrap();
    (folder, file)
}
