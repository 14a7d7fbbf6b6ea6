use crate::telemetry::lines::LogLine;
use crate::types::{KnownField, LogField};

use super::form::{Context, Item};
use super::template::push_value;

/// The fields of a line that the journal of systemd can be searched by: `journalctl EVENER_ROUTE=api`.
#[derive(Debug)]
pub(super) struct JournalFields(Vec<(&'static str, Item)>);

/// Each ends with `=`, behind which its value stands up to the end of its line.
const NAMES: [(KnownField, &str); 12] = [
    (KnownField::RequestId, "EVENER_REQUEST_ID="),
    (KnownField::TraceId, "EVENER_TRACE_ID="),
    (KnownField::Client, "EVENER_CLIENT="),
    (KnownField::Listener, "EVENER_LISTENER="),
    (KnownField::Method, "EVENER_METHOD="),
    (KnownField::Host, "EVENER_HOST="),
    (KnownField::Status, "EVENER_STATUS="),
    (KnownField::Cause, "EVENER_CAUSE="),
    (KnownField::Route, "EVENER_ROUTE="),
    (KnownField::Pool, "EVENER_POOL="),
    (KnownField::Endpoint, "EVENER_ENDPOINT="),
    (KnownField::Ended, "EVENER_ENDED="),
];

impl JournalFields {
    /// Of these fields, those that there is a name for.
    pub(super) fn new(items: Vec<Item>) -> Self {
        let named = items.into_iter().filter_map(|item| {
            let known = NAMES.into_iter().find(|(field, _)| item.field == LogField::Known(*field));
            known.map(|(_, name)| (name, item))
        });
        Self(named.collect())
    }

    /// Writes the fields, and the name of that which holds the line itself. No value has a line feed, since [`push_value`]
    /// writes none.
    pub(super) fn write(&self, line: &impl LogLine, context: &Context<'_>, out: &mut Vec<u8>) {
        for (name, item) in &self.0 {
            let begin = out.len();
            out.extend_from_slice(name.as_bytes());
            let empty = out.len();
            push_value(&item.value(line, context), &item.field, out);
            if out.len() == empty {
                out.truncate(begin);
            } else {
                out.push(b'\n');
            }
        }
        out.extend_from_slice(b"MESSAGE=");
    }
}
