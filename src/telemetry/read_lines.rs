use std::io::{self, BufRead, Read};
use std::marker::PhantomData;

use serde::de::DeserializeOwned;

/// No line of an access log is as long; what is longer is no such log, and could fill the memory.
const LONGEST: u64 = 1 << 20;

/// Lines of an access log with their numbers, each as `T` or with what is wrong with it; empty lines are passed over.
pub(crate) struct LogLines<T, R> {
    reader: R,
    number: u64,
    line: Vec<u8>,
    read_as: PhantomData<T>,
}

/// Reads an access log line by line, however long it is.
pub(crate) fn read_lines<T: DeserializeOwned, R: BufRead>(reader: R) -> LogLines<T, R> {
    LogLines { reader, number: 0, line: Vec::new(), read_as: PhantomData }
}

impl<T: DeserializeOwned, R: BufRead> Iterator for LogLines<T, R> {
    type Item = io::Result<(u64, Result<T, String>)>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            self.line.clear();
            self.number += 1;
            match self.reader.by_ref().take(LONGEST).read_until(b'\n', &mut self.line) {
                Ok(0) => return None,
                Ok(_) if self.line.trim_ascii().is_empty() => {}
                Ok(_) if self.line.len() as u64 == LONGEST && !self.line.ends_with(b"\n") => {
                    let message = format!("line {} is longer than 1MiB", self.number);
                    return Some(Err(io::Error::new(io::ErrorKind::InvalidData, message)));
                }
                Ok(_) => return Some(Ok((self.number, read(&self.line)))),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn read<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| {
        format!(
            "{} (one JSON object in each line is expected, as the access log has them)",
            at_column(&error)
        )
    })
}

/// The parser's words, without the line, which it counts for itself.
fn at_column(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let message = text.split(" at line ").next().unwrap_or(&text);
    format!("column {}: {message}", error.column())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_all(text: &[u8]) -> Vec<io::Result<(u64, Result<u8, String>)>> {
        read_lines(text).collect()
    }

    #[test]
    fn lines_have_their_numbers_and_their_problems() {
        let lines: Vec<_> = read_all(b"1\n\n  \nx\n3").into_iter().map(Result::unwrap).collect();
        assert_eq!((lines[0].clone(), lines[2].clone()), ((1, Ok(1)), (5, Ok(3))));
        assert!(
            lines[1].0 == 4 && lines[1].1.as_ref().unwrap_err().starts_with("column 1: expected value (")
        );
    }

    #[test]
    fn a_line_without_an_end_is_no_log() {
        let text = vec![b'1'; LONGEST as usize + 1];
        assert_eq!(read_all(&text)[0].as_ref().unwrap_err().to_string(), "line 1 is longer than 1MiB");
    }
}
