use std::borrow::Cow;

use crate::telemetry::lines::{LineValue, LogLine};
use crate::types::{LogField, LogPart, LogTemplate};

use super::escape::push_clf;
use super::form::{Context, Item};
use super::put;

/// The pieces of a line that is a text with fields.
#[derive(Debug)]
pub(super) struct TemplateParts(Vec<Part>);

#[derive(Debug)]
enum Part {
    Text(Box<[u8]>),
    Field(Item),
}

impl TemplateParts {
    pub(super) fn new(template: &LogTemplate, item: impl Fn(&LogField) -> Item) -> Self {
        let part = |part: &LogPart| match part {
            LogPart::Text(text) => Part::Text(text.as_bytes().into()),
            LogPart::Field(field) => Part::Field(item(field)),
        };
        Self(template.parts().iter().map(part).collect())
    }

    pub(super) fn write(&self, line: &impl LogLine, context: &Context<'_>, out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Field(item) => {
                    let begin = out.len();
                    push_value(&item.value(line, context), &item.field, out);
                    if out.len() == begin {
                        out.push(b'-');
                    }
                }
            }
        }
    }
}

/// Writes a value as Apache does; nothing where there is none.
pub(super) fn push_value(value: &LineValue<'_>, field: &LogField, out: &mut Vec<u8>) {
    match value {
        // Readers of such logs expect a version with a dot.
        LineValue::RequestLine { method, target, protocol: "HTTP/2" } => {
            let target = Cow::Borrowed(&**target);
            let value = LineValue::RequestLine { method, target, protocol: "HTTP/2.0" };
            put::push_value(&value, field, push_clf, out);
        }
        _ => put::push_value(value, field, push_clf, out),
    }
}
