//! Keeps a report to what a line holds: configurations choose how many routes, filters and endpoints have to do with a request,
//! and clients how long their method is. What is told of targets is short already.

use std::io;

use serde::Serialize;

use crate::types::cut;

use super::RequestReport;

/// Bytes of a report as JSON, at most.
const LONGEST: usize = 16 << 10;
/// Bytes of the key that tells how much was left out, where it was not there.
const LEFT_OUT: usize = r#","left_out":1000000"#.len();
/// Bytes of any other text that a client chooses, at most.
const LONGEST_TEXT: usize = 256;

impl RequestReport {
    /// The same within its bounds. What tells least is left out first, and counted.
    pub(super) fn fitted(mut self) -> Self {
        self.method = cut(self.method, LONGEST_TEXT);
        self.request_id = cut(self.request_id, LONGEST_TEXT);
        let length = length(&self);
        if length <= LONGEST {
            return self;
        }
        let mut surplus = length + LEFT_OUT - LONGEST;
        while surplus > 0 {
            let Some(gained) = self.leave_out() else { break };
            self.left_out += 1;
            surplus = surplus.saturating_sub(gained);
        }
        self
    }

    /// Leaves one thing out; how many bytes that gains, or nothing if all the rest is needed.
    fn leave_out(&mut self) -> Option<usize> {
        if let Some(place) = self.candidates.iter().rposition(|candidate| !candidate.chosen) {
            return Some(length(&self.candidates.remove(place)));
        }
        if let Some(endpoint) = self.picks.iter_mut().find_map(|pick| pick.out.pop()) {
            return Some(length(&endpoint));
        }
        if let Some(sampled) = self.picks.iter_mut().find_map(|pick| pick.sampled.pop()) {
            return Some(length(&sampled));
        }
        if let Some(run) = self.filters.pop() {
            return Some(length(&run));
        }
        // The last pick and the last attempt tell what it came to.
        if self.picks.len() > 1 {
            return Some(length(&self.picks.remove(0)));
        }
        (self.attempts.len() > 1).then(|| length(&self.attempts.remove(0)))
    }
}

/// The bytes of a value as JSON.
fn length(value: &impl Serialize) -> usize {
    let mut counted = Counted(0);
    // Plain structures with text keys always serialise, and nothing is written to.
    let _ = serde_json::to_writer(&mut counted, value);
    counted.0
}

/// Takes down how much is written.
struct Counted(usize);

impl io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn report(target: &str, candidates: usize, steps: usize) -> RequestReport {
        let candidates: Vec<_> = (0..candidates)
            .map(|number| json!({ "route": format!("r{number}"), "chosen": number == 7, "verdict": "x".repeat(256) }))
            .collect();
        let sampled = json!({ "endpoint": "192.0.2.1:9001", "cost": 1.5, "in_flight": 1, "recent_picks": 0.5,
            "weight": 1.0, "has_room": true });
        let picks: Vec<_> = (0..steps)
            .map(|_| json!({ "pool": "p".repeat(64), "policy": "p2c", "at_ms": 0.1, "took_ms": 0.1,
                "sampled": vec![&sampled; 16], "out": vec![("192.0.2.1:9001", "unfit"); 16], "endpoint": "192.0.2.1:9001" }))
            .collect();
        let filters: Vec<_> = (0..2 * steps)
            .map(
                |_| json!({ "filter": "f".repeat(64), "at_ms": 0.1, "took_ms": 0.1, "verdict": "continued" }),
            )
            .collect();
        let attempts: Vec<_> = (0..steps)
            .map(|_| json!({ "endpoint": "192.0.2.1:9001", "why": "retry", "at_ms": 0.1, "reused": false }))
            .collect();
        serde_json::from_value(json!({
            "time": "2030-01-01T00:00:00.000Z", "request_id": "1", "client": "192.0.2.7", "listener": "web",
            "protocol": "HTTP/1.1", "method": "GET", "scheme": "http", "host": "example.com", "target": target,
            "candidates": candidates, "filters": filters, "picks": picks, "attempts": attempts
        }))
        .unwrap()
    }

    #[test]
    fn what_fits_is_told_whole() {
        let whole = report("/a", 20, 2);
        assert_eq!(whole.clone().fitted(), whole);
    }

    #[test]
    fn no_line_is_longer_and_what_counts_stays() {
        let mut whole = report(&"/a".repeat(1000), 64, 16);
        whole.method = "M".repeat(5000);
        let fitted = whole.fitted();
        let line = serde_json::to_string(&fitted).unwrap();
        assert!(line.len() <= LONGEST, "{}", line.len());
        assert!(fitted.method.len() == LONGEST_TEXT && fitted.method.ends_with('…'));
        assert_eq!(fitted.candidates.iter().map(|candidate| &*candidate.route).collect::<Vec<_>>(), ["r7"]);
        assert!(fitted.left_out > 63 && !fitted.attempts.is_empty() && !fitted.picks.is_empty());
    }

    #[test]
    fn routes_that_were_not_taken_go_first() {
        let fitted = report("/a", 64, 2).fitted();
        assert!(length(&fitted) <= LONGEST && fitted.candidates.len() > 20);
        assert_eq!(fitted.left_out, 64 - fitted.candidates.len());
        assert_eq!((fitted.picks[1].sampled.len(), fitted.filters.len()), (16, 4));
        assert_eq!(fitted.candidates[7].route, "r7");
    }
}
