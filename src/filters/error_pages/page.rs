use http::StatusCode;

use crate::config::spec::PageForm;
use crate::types::{Template, Vars};

/// The text of an error page, in which `{status}` and the like stand for what is known of the answer. All braces that
/// enclose no name that is known are braces: pages are full of them.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    parts: Vec<Part>,
}

#[derive(Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    /// `{status}`
    Status,
    /// `{reason}`: what the status is called.
    Reason,
    /// `{cause}`: why the edge answers so, or nothing.
    Cause,
    /// Any variable that templates have.
    Variable(Template),
}

/// What is known of the answer.
pub(crate) struct Told<'a, V> {
    pub(crate) status: StatusCode,
    pub(crate) cause: &'a str,
    pub(crate) vars: &'a V,
}

const MOST_BYTES: usize = 256 * 1024;

impl Page {
    /// Reads the text of a file.
    pub(super) fn read(bytes: &[u8]) -> Result<Self, String> {
        if bytes.len() > MOST_BYTES {
            return Err("it is larger than 256KiB".to_owned());
        }
        let text = std::str::from_utf8(bytes).map_err(|_| "it is not UTF-8".to_owned())?;
        let (mut parts, mut literal, mut rest) = (Vec::new(), String::new(), text);
        while let Some(at) = rest.find('{') {
            literal.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some((part, length)) = variable(rest) {
                parts.push(Part::Text(std::mem::take(&mut literal)));
                parts.push(part);
                rest = &rest[length..];
            } else {
                literal.push('{');
                rest = &rest[1..];
            }
        }
        literal.push_str(rest);
        parts.push(Part::Text(literal));
        Ok(Self { parts })
    }

    /// The page for an answer. What clients may have chosen is escaped, so that it stays text.
    pub(super) fn fill<V: Vars>(&self, form: PageForm, told: &Told<'_, V>) -> Vec<u8> {
        let mut out = Vec::new();
        let mut value = Vec::new();
        for part in &self.parts {
            value.clear();
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Status => out.extend_from_slice(told.status.as_str().as_bytes()),
                Part::Reason => {
                    value.extend_from_slice(told.status.canonical_reason().unwrap_or("").as_bytes())
                }
                Part::Cause => value.extend_from_slice(told.cause.as_bytes()),
                Part::Variable(template) => template.expand(told.vars, &mut value),
            }
            form.escape(&String::from_utf8_lossy(&value), &mut out);
        }
        out
    }
}

/// The variable at the beginning of a text, if there is one, and how long its name is with the braces.
fn variable(text: &str) -> Option<(Part, usize)> {
    let end = text.find('}')?;
    let name = &text[1..end];
    let is_name =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'_' | b'.');
    if name.is_empty() || !name.bytes().all(is_name) {
        return None;
    }
    let part = match name {
        "status" => Part::Status,
        "reason" => Part::Reason,
        "cause" => Part::Cause,
        _ => Part::Variable(text[..=end].parse().ok()?),
    };
    Some((part, end + 1))
}

impl PageForm {
    /// As clients ask for it.
    pub(super) fn media(self) -> &'static str {
        match self {
            Self::Html => "text/html",
            Self::Json => "application/json",
            Self::Text => "text/plain",
        }
    }

    /// As it is told to them.
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Html => "text/html; charset=utf-8",
            Self::Json => "application/json",
            Self::Text => "text/plain; charset=utf-8",
        }
    }

    fn escape(self, value: &str, out: &mut Vec<u8>) {
        match self {
            Self::Html => value.chars().for_each(|c| escape_html(c, out)),
            Self::Text => out.extend_from_slice(value.as_bytes()),
            Self::Json => {
                // Texts always serialise, within quotes, which the page has itself.
                let quoted = serde_json::to_string(value).unwrap_or_default();
                let text = quoted.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
                out.extend_from_slice(text.unwrap_or_default().as_bytes());
            }
        }
    }
}

fn escape_html(c: char, out: &mut Vec<u8>) {
    match c {
        '&' => out.extend_from_slice(b"&amp;"),
        '<' => out.extend_from_slice(b"&lt;"),
        '>' => out.extend_from_slice(b"&gt;"),
        '"' => out.extend_from_slice(b"&quot;"),
        '\'' => out.extend_from_slice(b"&#39;"),
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

#[cfg(test)]
mod tests {
    use crate::types::{VarName, Variable};

    use super::*;

    /// Says of every variable what an attacker would.
    struct Hostile;

    const HOSTILE: &str = "</p>'\"><script>&\\\n\"";

    impl Vars for Hostile {
        fn write(&self, _: Variable, out: &mut Vec<u8>) {
            out.extend_from_slice(HOSTILE.as_bytes());
        }

        fn write_named(&self, _: &VarName, out: &mut Vec<u8>) {
            out.extend_from_slice(HOSTILE.as_bytes());
        }
    }

    fn fill(text: &str, form: PageForm) -> String {
        let page = Page::read(text.as_bytes()).unwrap();
        let told = Told { status: StatusCode::NOT_FOUND, cause: "no_route", vars: &Hostile };
        String::from_utf8(page.fill(form, &told)).unwrap()
    }

    #[test]
    fn names_that_are_known_are_filled_in_and_braces_stay() {
        let page = "<style>p { color: red } a{}{{x}}</style>{status} {reason}: {cause}{unknown} {";
        let expected = "<style>p { color: red } a{}{{x}}</style>404 Not Found: no_route{unknown} {";
        assert_eq!(fill(page, PageForm::Html), expected);
        assert_eq!(fill("", PageForm::Html), "");
        assert_eq!(fill("{a{status}", PageForm::Html), "{a404");
    }

    #[test]
    fn what_clients_choose_stays_text() {
        for name in ["{host}", "{path}", "{var.x}", "{method}"] {
            assert_eq!(
                fill(name, PageForm::Html),
                "&lt;/p&gt;&#39;&quot;&gt;&lt;script&gt;&amp;\\\n&quot;",
                "{name}"
            );
            assert_eq!(fill(name, PageForm::Text), HOSTILE);
            let json = fill(&format!("{{\"error\": \"{name}\", \"status\": {{status}}}}"), PageForm::Json);
            let json: serde_json::Value = serde_json::from_str(&json).unwrap();
            assert_eq!((json["error"].as_str(), json["status"].as_u64()), (Some(HOSTILE), Some(404)));
        }
    }

    #[test]
    fn what_is_no_page_is_refused() {
        assert_eq!(Page::read(b"\xff").unwrap_err(), "it is not UTF-8");
        assert_eq!(Page::read(&vec![b'a'; MOST_BYTES + 1]).unwrap_err(), "it is larger than 256KiB");
    }
}
