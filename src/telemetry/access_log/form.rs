use std::borrow::Cow;

use http::header::USER_AGENT;

use crate::config::spec::{AccessFormat, AccessSink, AccessSpec, ClientShown, OneOrMany, SampleSpec};
use crate::telemetry::lines::{AccessLine, ConnectionLine, LineKind, LineValue, LogLine};
use crate::telemetry::redaction::{HIDDEN, Redaction};
use crate::types::{KnownField, LogField, LogTemplate, Share};

use super::journal::JournalFields;
use super::json::JsonFields;
use super::template::TemplateParts;

/// What lines are made like.
#[derive(Debug)]
pub(super) struct Form {
    requests: Layout,
    connections: Layout,
    redaction: Redaction,
    goes_to_journal: bool,
    pub(super) sample: SampleSpec,
}

/// What lines of one kind tell, and how.
#[derive(Debug)]
pub(super) struct Layout {
    writing: Writing,
    /// What the journal is told besides; whether lines go there, a route does not know.
    journal: JournalFields,
    needs_headers: bool,
}

#[derive(Debug)]
enum Writing {
    Json(JsonFields),
    Template(TemplateParts),
}

/// A field of a line, and whether it may be told.
#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) field: LogField,
    visibility: Visibility,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Visibility {
    Clear,
    /// Only that there is something.
    Hidden,
    Off,
}

/// What is known when a line is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    redaction: &'a Redaction,
    /// That of such lines that are written.
    share: Share,
}

/// Apache's format `combined`; the user is that of `basic_auth`.
const COMBINED: &str = "{client} - {var.auth.user} [{time.clf}] \"{request_line}\" {status} {bytes_out.clf} \
                        \"{request_headers.referer}\" \"{user_agent}\"";

impl Form {
    /// `None` where there are to be no lines.
    pub(super) fn new(spec: &AccessSpec) -> Option<Self> {
        if spec.format == AccessFormat::Off {
            return None;
        }
        let redaction = Redaction::new(&spec.redact, spec.client);
        Some(Self {
            requests: Layout::new::<AccessLine<'_>>(spec, spec.fields.as_ref(), &redaction),
            connections: Layout::new::<ConnectionLine<'_>>(spec, spec.fields.as_ref(), &redaction),
            redaction,
            goes_to_journal: spec.to == AccessSink::Journald,
            sample: spec.sample,
        })
    }

    /// Writes a line and its end, like the others or in a layout of its own.
    pub(super) fn write<L: LogLine>(&self, line: &L, own: Option<&Layout>, share: Share, out: &mut Vec<u8>) {
        let layout = own.unwrap_or(match L::KIND {
            LineKind::Request => &self.requests,
            LineKind::Connection => &self.connections,
        });
        let context = Context { redaction: &self.redaction, share };
        if self.goes_to_journal {
            layout.journal.write(line, &context, out);
        }
        match &layout.writing {
            Writing::Json(fields) => fields.write(line, &context, out),
            Writing::Template(parts) => parts.write(line, &context, out),
        }
        out.push(b'\n');
    }

    /// Whether lines of requests tell of headers.
    pub(super) fn needs_headers(&self) -> bool {
        self.requests.needs_headers
    }
}

impl Layout {
    /// With `fields` in the place of those that lines of this kind have by themselves.
    pub(super) fn new<L: LogLine>(
        spec: &AccessSpec,
        fields: Option<&OneOrMany<LogField>>,
        redaction: &Redaction,
    ) -> Self {
        let item = |field: &LogField| Item::new(field.clone(), spec, redaction);
        let (writing, items): (Writing, Vec<Item>) = match template(&spec.format) {
            Some(template) => {
                let parts = TemplateParts::new(&template, item);
                (Writing::Template(parts), template.fields().map(item).collect())
            }
            None => {
                let items: Vec<_> = json_fields::<L>(spec, fields).iter().map(item).collect();
                (Writing::Json(JsonFields::new(&items)), items)
            }
        };
        let is_header =
            |item: &Item| matches!(item.field, LogField::RequestHeader(_) | LogField::ResponseHeader(_));
        Self { writing, needs_headers: items.iter().any(is_header), journal: JournalFields::new(items) }
    }

    pub(super) fn needs_headers(&self) -> bool {
        self.needs_headers
    }
}

/// `None` for JSON.
fn template(format: &AccessFormat) -> Option<Cow<'_, LogTemplate>> {
    match format {
        AccessFormat::Template(template) => Some(Cow::Borrowed(template)),
        // It is sound, or no line of it would be.
        AccessFormat::Combined => Some(Cow::Owned(COMBINED.parse().unwrap_or_default())),
        AccessFormat::Json | AccessFormat::Off => None,
    }
}

fn json_fields<L: LogLine>(spec: &AccessSpec, fields: Option<&OneOrMany<LogField>>) -> Vec<LogField> {
    let mut all = match fields {
        Some(fields) => fields.as_slice().to_vec(),
        None => L::FIELDS.iter().copied().map(LogField::Known).collect(),
    };
    all.extend(spec.request_headers.iter().map(|name| LogField::RequestHeader(name.0.clone())));
    all.extend(spec.response_headers.iter().map(|name| LogField::ResponseHeader(name.0.clone())));
    all
}

// === Item ===

impl Item {
    fn new(field: LogField, spec: &AccessSpec, redaction: &Redaction) -> Self {
        let visibility = match &field {
            LogField::Known(KnownField::UserAgent) if !spec.user_agent => Visibility::Off,
            LogField::RequestHeader(name) if *name == USER_AGENT && !spec.user_agent => Visibility::Off,
            LogField::Known(KnownField::Client) if spec.client == ClientShown::Off => Visibility::Off,
            LogField::RequestHeader(name) | LogField::ResponseHeader(name) if redaction.hides(name) => {
                Visibility::Hidden
            }
            _ => Visibility::Clear,
        };
        Self { field, visibility }
    }

    /// What a line tells of it, as it may be written: never a [`LineValue::Url`].
    pub(super) fn value<'l>(&self, line: &'l impl LogLine, context: &Context<'_>) -> LineValue<'l> {
        if self.visibility == Visibility::Off {
            return LineValue::Nothing;
        }
        if self.field == LogField::Known(KnownField::Sampled) {
            return if context.share.is_all() {
                LineValue::Nothing
            } else {
                LineValue::Decimal(context.share.fraction())
            };
        }
        let value = line.value(&self.field);
        if self.visibility == Visibility::Hidden {
            return match value {
                LineValue::Nothing => LineValue::Nothing,
                _ => LineValue::Text(Cow::Borrowed(HIDDEN)),
            };
        }
        match value {
            LineValue::Url(text) => LineValue::Text(redacted(text, context.redaction)),
            LineValue::RequestLine { method, target, protocol } => {
                LineValue::RequestLine { method, target: redacted(target, context.redaction), protocol }
            }
            LineValue::Client(address) => {
                context.redaction.client(address).map_or(LineValue::Nothing, LineValue::Client)
            }
            other => other,
        }
    }
}

fn redacted<'t>(text: Cow<'t, [u8]>, redaction: &Redaction) -> Cow<'t, [u8]> {
    match text {
        Cow::Borrowed(text) => redaction.text(text),
        Cow::Owned(text) => Cow::Owned(redaction.text(&text).into_owned()),
    }
}
