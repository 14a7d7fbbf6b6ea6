use std::os::unix::ffi::OsStrExt;

use crate::telemetry::lines::{LineValue, LogLine};
use crate::types::{EndpointAddr, KnownField, LogField};

use super::escape::push_json;
use super::form::{Context, Item};
use super::put::{cut, put, put_json};
use super::time::{push_clf_time, push_time};

/// The fields of a JSON object, members of a group next to each other.
#[derive(Debug)]
pub(super) struct JsonFields(Vec<JsonField>);

#[derive(Debug)]
struct JsonField {
    item: Item,
    group: Option<&'static str>,
    /// With the comma before it: `,"route":`.
    key: Box<[u8]>,
}

impl JsonFields {
    /// Each once; a group stands where its first member does.
    pub(super) fn new(items: &[Item]) -> Self {
        let mut fields: Vec<JsonField> = Vec::with_capacity(items.len());
        for item in items {
            if fields.iter().any(|known| known.item.field == item.field) {
                continue;
            }
            let (group, name) = item.field.group_and_name();
            let field = JsonField { item: item.clone(), group, key: key(&name) };
            let last = group.and_then(|_| fields.iter().rposition(|known| known.group == group));
            fields.insert(last.map_or(fields.len(), |last| last + 1), field);
        }
        Self(fields)
    }

    pub(super) fn write(&self, line: &impl LogLine, context: &Context<'_>, out: &mut Vec<u8>) {
        let begin = out.len();
        let mut open = None;
        for field in &self.0 {
            let value = field.item.value(line, context);
            if matches!(value, LineValue::Nothing) {
                continue;
            }
            let mut key = &*field.key;
            if field.group != open {
                if open.is_some() {
                    out.push(b'}');
                }
                if let Some(group) = field.group {
                    out.extend_from_slice(b",\"");
                    out.extend_from_slice(group.as_bytes());
                    out.extend_from_slice(b"\":{");
                    key = &key[1..];
                }
                open = field.group;
            }
            out.extend_from_slice(key);
            push_value(&value, &field.item.field, out);
        }
        if open.is_some() {
            out.push(b'}');
        }
        // The first comma makes place.
        match out.get_mut(begin) {
            Some(first) => *first = b'{',
            None => out.push(b'{'),
        }
        out.push(b'}');
    }
}

fn key(name: &str) -> Box<[u8]> {
    let mut key = b",\"".to_vec();
    push_json(name.as_bytes(), &mut key);
    key.extend_from_slice(b"\":");
    key.into()
}

fn push_value(value: &LineValue<'_>, field: &LogField, out: &mut Vec<u8>) {
    match value {
        LineValue::Number(number) => return put_json(number, out),
        LineValue::Decimal(number) => return put_json(number, out),
        LineValue::Waf(finding) => return put_json(finding, out),
        _ => {}
    }
    out.push(b'"');
    match value {
        LineValue::Word(word) => out.extend_from_slice(word.as_bytes()),
        LineValue::Text(text) | LineValue::Url(text) => push_text(text, out),
        LineValue::RequestLine { method, target, protocol } => {
            push_text(method.as_bytes(), out);
            out.push(b' ');
            push_text(target, out);
            out.push(b' ');
            push_text(protocol.as_bytes(), out);
        }
        LineValue::Time(time) if *field == LogField::Known(KnownField::TimeClf) => push_clf_time(*time, out),
        LineValue::Time(time) => push_time(*time, out),
        LineValue::Client(address) => put(address, out),
        LineValue::Endpoint(EndpointAddr::Inet(address)) => put(address, out),
        LineValue::Endpoint(EndpointAddr::Unix(path)) => {
            out.extend_from_slice(b"unix:");
            push_text(path.as_os_str().as_bytes(), out);
        }
        LineValue::Nothing | LineValue::Number(_) | LineValue::Decimal(_) | LineValue::Waf(_) => {}
    }
    out.push(b'"');
}

fn push_text(text: &[u8], out: &mut Vec<u8>) {
    let (text, rest) = cut(text);
    push_json(text, out);
    out.extend_from_slice(rest);
}
