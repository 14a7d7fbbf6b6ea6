use std::fmt;
use std::str::FromStr;

use super::template::{read_parts, write_literal};
use super::{LogField, text_leaf};

/// A line of the access log, in which `{status}` and the like stand for what it tells; `{{` and `}}` are braces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogTemplate {
    parts: Vec<LogPart>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogPart {
    /// What stands in each line.
    Text(String),
    /// What a line tells.
    Field(LogField),
}

/// A text with an unknown field, an open brace or a line break.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidLogTemplate(String);

impl LogTemplate {
    /// The pieces in their order.
    pub fn parts(&self) -> &[LogPart] {
        &self.parts
    }

    /// What lines tell.
    pub fn fields(&self) -> impl Iterator<Item = &LogField> {
        self.parts.iter().filter_map(|part| match part {
            LogPart::Field(field) => Some(field),
            LogPart::Text(_) => None,
        })
    }
}

impl FromStr for LogTemplate {
    type Err = InvalidLogTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidLogTemplate> {
        let part = |name: &str| match name.parse::<LogField>() {
            Ok(field) => Ok(LogPart::Field(field)),
            Err(error) => Err(error.to_string()),
        };
        let parts = read_parts(text, part).map_err(InvalidLogTemplate)?;
        if text.chars().any(|c| c.is_control() && c != '\t') {
            return Err(InvalidLogTemplate(
                "a line has no line break or other control character in it".to_owned(),
            ));
        }
        Ok(Self { parts })
    }
}

impl From<String> for LogPart {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl fmt::Display for LogTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.parts.iter().try_for_each(|part| match part {
            LogPart::Text(text) => write_literal(text, f),
            LogPart::Field(field) => write!(f, "{{{field}}}"),
        })
    }
}

text_leaf!(LogTemplate, "a line with fields", "{client} {method} {path} {status} {ms.total}");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_fields_and_doubled_braces() {
        for text in ["", "plain", "{status}", "{{x}} \"{request_line}\" {var.jwt.sub}\t{ms.total}ms"] {
            assert_eq!(text.parse::<LogTemplate>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn says_what_is_wrong() {
        let error = |text: &str| text.parse::<LogTemplate>().unwrap_err().to_string();
        assert_eq!(error("{client} {statsu}"), "no line has a field `statsu`; did you mean `status`?");
        assert!(error("{status").contains("without its `}`"));
        assert!(error("{status}\n").contains("line break"));
    }
}
