use std::fmt::Write;

use http::HeaderValue;

use crate::runtime::RequestReport;

/// So long the value is at most; what is beyond that is left out.
const LONGEST: usize = 4096;

/// What has become of a request so far, as a dictionary of RFC 8941; for the client, while its answer begins.
pub(crate) fn decision(report: &RequestReport) -> HeaderValue {
    let mut dictionary = Dictionary::default();
    dictionary.add("id", &string(&report.request_id));
    dictionary.add("listener", &string(&report.listener));
    dictionary.list("candidates", &report.candidates, |candidate| {
        let verdict =
            if candidate.chosen { ";chosen".to_owned() } else { parameter("no", &candidate.verdict) };
        string(&candidate.route) + &verdict
    });
    dictionary.list("filters", &report.filters, |run| {
        let cause = run.cause.as_deref().map(|cause| parameter("cause", cause)).unwrap_or_default();
        format!("{};verdict={};ms={:.3}{cause}", string(&run.filter), run.verdict, run.took_ms)
    });
    if let Some(split) = &report.split {
        dictionary.add("split", &string(&split.pool));
    }
    dictionary.list("picks", &report.picks, |pick| {
        let by = pick.by.as_deref().map(|by| format!(";by={by}")).unwrap_or_default();
        let (pool, policy) = (parameter("pool", &pick.pool), parameter("policy", &pick.policy));
        format!("{}{pool}{policy}{by};ms={:.3}", string(pick.endpoint.as_deref().unwrap_or("")), pick.took_ms)
    });
    let sampled: Vec<_> = report.picks.iter().flat_map(|pick| &pick.sampled).collect();
    dictionary.list("sampled", &sampled, |sampled| {
        let latency = sampled.latency_ms.map(|latency| format!(";latency={latency:.3}")).unwrap_or_default();
        format!(
            "{};cost={:.3};in_flight={};picks={:.3};weight={:.3}{latency}",
            string(&sampled.endpoint),
            sampled.cost,
            sampled.in_flight,
            sampled.recent_picks,
            sampled.weight
        )
    });
    let out: Vec<_> = report.picks.last().map(|pick| pick.out.iter().collect()).unwrap_or_default();
    dictionary.list("out", &out, |(endpoint, state)| string(endpoint) + &parameter("state", state));
    dictionary.list("attempts", &report.attempts, |attempt| {
        let status = attempt.status.map(|status| format!(";status={status}")).unwrap_or_default();
        let cause = attempt.cause.as_deref().map(|cause| parameter("cause", cause)).unwrap_or_default();
        format!("{};why={};ms={:.3}{status}{cause}", string(&attempt.endpoint), attempt.why, attempt.at_ms)
    });
    dictionary.into_value()
}

/// The members so far, none of which is cut in two.
#[derive(Default)]
struct Dictionary(String);

impl Dictionary {
    /// Adds a member, if there is room for it.
    fn add(&mut self, key: &str, value: &str) {
        let separator = if self.0.is_empty() { "" } else { ", " };
        if self.0.len() + separator.len() + key.len() + 1 + value.len() <= LONGEST {
            // In memory no write fails.
            let _ = write!(self.0, "{separator}{key}={value}");
        }
    }

    /// Adds a list with as many of the items as there is room for; nothing for none.
    fn list<T>(&mut self, key: &str, items: &[T], item: impl Fn(&T) -> String) {
        let room = LONGEST.saturating_sub(self.0.len() + key.len() + ", =()".len());
        let mut list = String::new();
        for item in items.iter().map(item) {
            if list.len() + 1 + item.len() > room {
                break;
            }
            let separator = if list.is_empty() { "" } else { " " };
            let _ = write!(list, "{separator}{item}");
        }
        if !list.is_empty() {
            self.add(key, &format!("({list})"));
        }
    }

    fn into_value(self) -> HeaderValue {
        // Only printable ASCII is in it.
        HeaderValue::try_from(self.0).unwrap_or(HeaderValue::from_static(""))
    }
}

/// A string of RFC 8941 §3.3.3; what that cannot hold is replaced.
fn string(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => quoted.extend(['\\', character]),
            ' '..='~' => quoted.push(character),
            _ => quoted.push('?'),
        }
    }
    quoted.push('"');
    quoted
}

fn parameter(key: &str, text: &str) -> String {
    format!(";{key}={}", string(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_hold_whatever_comes() {
        assert_eq!(string("a\"b\\c\r\né"), r#""a\"b\\c???""#);
    }

    #[test]
    fn what_has_no_room_is_left_out_as_a_whole() {
        let mut dictionary = Dictionary::default();
        dictionary.add("a", &"x".repeat(LONGEST - 20));
        dictionary.list("b", &["1234567890", "12"], |item| (*item).to_owned());
        dictionary.add("c", &"y".repeat(30));
        dictionary.list("d", &[""; 0], |item| (*item).to_owned());
        assert!(
            dictionary.0.len() <= LONGEST && dictionary.0.ends_with(", b=(1234567890)"),
            "{}",
            dictionary.0
        );
    }
}
