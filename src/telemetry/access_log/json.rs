use crate::telemetry::lines::{LineValue, LogLine};
use crate::types::LogField;

use super::escape::push_json;
use super::form::{Context, Item};
use super::put::{self, put_json};

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
        LineValue::Number(_) | LineValue::Decimal(_) => put::push_value(value, field, push_json, out),
        LineValue::Waf(finding) => put_json(finding, out),
        _ => {
            out.push(b'"');
            put::push_value(value, field, push_json, out);
            out.push(b'"');
        }
    }
}
