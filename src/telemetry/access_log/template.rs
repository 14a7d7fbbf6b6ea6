use std::os::unix::ffi::OsStrExt;

use crate::telemetry::lines::{LineValue, LogLine};
use crate::types::{EndpointAddr, KnownField, LogField, LogPart, LogTemplate};

use super::escape::push_clf;
use super::form::{Context, Item};
use super::put::{cut, put, put_json};
use super::time::{push_clf_time, push_time};

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
        LineValue::Nothing => {}
        LineValue::Word(word) => out.extend_from_slice(word.as_bytes()),
        LineValue::Text(text) | LineValue::Url(text) => push_text(text, out),
        LineValue::RequestLine { method, target, protocol } => {
            push_text(method.as_bytes(), out);
            out.push(b' ');
            push_text(target, out);
            out.push(b' ');
            push_text(apache_version(protocol).as_bytes(), out);
        }
        LineValue::Number(number) => put_json(number, out),
        LineValue::Decimal(number) => put_json(number, out),
        LineValue::Time(time) if *field == LogField::Known(KnownField::TimeClf) => push_clf_time(*time, out),
        LineValue::Time(time) => push_time(*time, out),
        LineValue::Client(address) => put(address, out),
        LineValue::Endpoint(EndpointAddr::Inet(address)) => put(address, out),
        LineValue::Endpoint(EndpointAddr::Unix(path)) => {
            out.extend_from_slice(b"unix:");
            push_text(path.as_os_str().as_bytes(), out);
        }
        LineValue::Waf(finding) => push_text(finding.verdict.as_bytes(), out),
    }
}

/// Readers of such logs expect a version with a dot.
fn apache_version(protocol: &str) -> &str {
    if protocol == "HTTP/2" { "HTTP/2.0" } else { protocol }
}

fn push_text(text: &[u8], out: &mut Vec<u8>) {
    let (text, rest) = cut(text);
    push_clf(text, out);
    out.extend_from_slice(rest);
}
