use std::fmt::Write;
use std::sync::{Arc, OnceLock};

use parking_lot::Mutex;
use serde::Serialize;
use serde_json::Value;

use super::compact::{compact, merge_patch};

/// The status of the last second in which somebody listened, for all who do.
#[derive(Debug, Default)]
pub(in crate::admin) struct Feed {
    last: Mutex<Option<Arc<Frame>>>,
}

/// The status of a second, as it is told.
#[derive(Debug)]
pub(super) struct Frame {
    /// The second.
    number: u64,
    status: Value,
    /// The whole of it, once somebody needs that.
    whole: OnceLock<String>,
    /// What has changed since another second, if that was looked at.
    since: Option<(u64, String)>,
}

impl Feed {
    /// The frame of a second; the first who asks for it has the status looked at.
    pub(super) fn frame<S: Serialize>(&self, number: u64, status: impl FnOnce() -> S) -> Arc<Frame> {
        let mut last = self.last.lock();
        if let Some(frame) = last.as_ref().filter(|frame| frame.number >= number) {
            return frame.clone();
        }
        let before = last.as_ref().filter(|frame| frame.number + 1 == number);
        let frame = Arc::new(Frame::new(number, status(), before));
        *last = Some(frame.clone());
        frame
    }

    /// Forgets what nobody may ask for any more.
    pub(super) fn clear(&self) {
        *self.last.lock() = None;
    }
}

impl Frame {
    fn new(number: u64, status: impl Serialize, before: Option<&Arc<Self>>) -> Self {
        // What is plain values can always be written.
        let status = compact(serde_json::to_value(status).unwrap_or_default());
        let since = before.map(|before| {
            let patch = merge_patch(&before.status, &status);
            (before.number, patch.map(|patch| event("patch", &patch)).unwrap_or_default())
        });
        Self { number, status, whole: OnceLock::new(), since }
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    /// What somebody is to be told who was told of another second, or of none.
    pub(super) fn told_after(&self, number: Option<u64>) -> &str {
        match &self.since {
            Some((before, patch)) if number == Some(*before) => patch,
            _ if number == Some(self.number) => "",
            _ => self.whole.get_or_init(|| event("status", &self.status)),
        }
    }
}

/// An event, in the form of the stream.
pub(super) fn event(name: &str, data: &impl Serialize) -> String {
    let mut text = format!("event: {name}\ndata: ");
    // Plain values can always be written, and JSON that is not laid out is a line.
    let _ = write!(text, "{}\n\n", serde_json::to_string(data).unwrap_or_default());
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_whole_is_told_once_and_then_what_has_changed() {
        let feed = Feed::default();
        let frame =
            |number, fit: u32| feed.frame(number, || json!({ "pools": [{ "name": "a", "fit": fit }] }));
        let first = frame(1, 2);
        let whole = "event: status\ndata: {\"pools\":{\"a\":{\"name\":\"a\",\"fit\":2}}}\n\n";
        assert_eq!(first.told_after(None), whole);
        assert_eq!(first.told_after(Some(1)), "");
        let second = frame(2, 1);
        assert_eq!(second.told_after(Some(1)), "event: patch\ndata: {\"pools\":{\"a\":{\"fit\":1}}}\n\n");
        assert!(second.told_after(None).starts_with("event: status\n"));
        assert_eq!(frame(3, 1).told_after(Some(2)), "", "nothing has changed");
        let later = frame(7, 0);
        assert!(later.told_after(Some(3)).starts_with("event: status\n"), "nobody listened between");
    }

    #[test]
    fn a_second_is_looked_at_once() {
        let feed = Feed::default();
        let first = feed.frame(4, || json!({ "draining": false }));
        let again = feed.frame(4, || -> Value { panic!("it was looked at") });
        assert!(Arc::ptr_eq(&first, &again));
        feed.clear();
        assert!(!Arc::ptr_eq(&first, &feed.frame(4, || json!({ "draining": true }))));
    }
}
