use std::fmt;
use std::str::FromStr;

use super::{VarName, text_leaf};

/// A text with an unknown variable or an open brace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} in `{text}`; allowed: {} {{var.NAME}}", Variable::NAMES.map(|(name, _)| format!("{{{name}}}")).join(" "))]
pub struct InvalidTemplate {
    text: String,
    reason: String,
}

/// A text in which `{client_ip}` and the like stand for what is known of a request, and `{var.NAME}` for a variable that a
/// filter has set; `{{` and `}}` are braces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Variable(Variable),
    /// One that a filter sets.
    Named(VarName),
}

/// What a template can name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Variable {
    /// `{client_ip}`: the client's address, after trusted proxies were believed.
    ClientIp,
    /// `{host}`: the host that was asked for, lower case, without port.
    Host,
    /// `{path}`: the path, as the filters so far left it.
    Path,
    /// `{query}`: the query with its `?`, or nothing.
    Query,
    /// `{method}`
    Method,
    /// `{scheme}`: `http` or `https`, as the client speaks to the edge.
    Scheme,
    /// `{request_id}`
    RequestId,
    /// `{listener}`: the name of the listener.
    Listener,
    /// `{route}`: the name of the route.
    Route,
    /// `{pool}`: the name of the pool, or nothing.
    Pool,
    /// `{endpoint}`: the address of the endpoint, or nothing before one is chosen.
    Endpoint,
    /// `{sni}`: the server name that the client asked for in its TLS handshake, or nothing.
    Sni,
    /// `{tls_version}`: `1.2` or `1.3`, or nothing without TLS.
    TlsVersion,
    /// `{client_cert_subject}`: the subject of the client's certificate (RFC 4514), or nothing without one.
    ClientCertSubject,
    /// `{client_cert_sans}`: the names in the client's certificate, as `DNS:a.example, URI:spiffe://…`.
    ClientCertSans,
    /// `{client_cert_fingerprint}`: the SHA-256 of the client's certificate in hexadecimal.
    ClientCertFingerprint,
    /// `{client_cert_serial}`: the serial number of the client's certificate in hexadecimal.
    ClientCertSerial,
}

impl Variable {
    pub(super) const NAMES: [(&'static str, Self); 17] = [
        ("client_ip", Self::ClientIp),
        ("host", Self::Host),
        ("path", Self::Path),
        ("query", Self::Query),
        ("method", Self::Method),
        ("scheme", Self::Scheme),
        ("request_id", Self::RequestId),
        ("listener", Self::Listener),
        ("route", Self::Route),
        ("pool", Self::Pool),
        ("endpoint", Self::Endpoint),
        ("sni", Self::Sni),
        ("tls_version", Self::TlsVersion),
        ("client_cert_subject", Self::ClientCertSubject),
        ("client_cert_sans", Self::ClientCertSans),
        ("client_cert_fingerprint", Self::ClientCertFingerprint),
        ("client_cert_serial", Self::ClientCertSerial),
    ];

    /// Its name between the braces.
    pub(super) fn name(self) -> &'static str {
        let known = Self::NAMES.iter().find(|(_, candidate)| *candidate == self);
        known.map_or("", |(name, _)| name)
    }

    /// Whether it tells of the client's certificate, which only the edge has seen.
    pub fn is_of_client_cert(self) -> bool {
        matches!(
            self,
            Self::ClientCertSubject
                | Self::ClientCertSans
                | Self::ClientCertFingerprint
                | Self::ClientCertSerial
        )
    }
}

/// Where a template's variables get their values.
pub trait Vars {
    /// Writes the variable's value to the end of `out`; nothing where it has none.
    fn write(&self, variable: Variable, out: &mut Vec<u8>);

    /// Writes the value of a variable that filters set; nothing where none has.
    fn write_named(&self, name: &VarName, out: &mut Vec<u8>);
}

impl Template {
    /// The text when it has no variables.
    pub fn as_constant(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Whether the text depends on the endpoint, which is known only once an attempt begins.
    pub fn needs_endpoint(&self) -> bool {
        self.parts.contains(&Part::Variable(Variable::Endpoint))
    }

    /// Whether the text tells of the client's certificate.
    pub fn tells_of_client_cert(&self) -> bool {
        let tells = |part: &Part| matches!(part, Part::Variable(variable) if variable.is_of_client_cert());
        self.parts.iter().any(tells)
    }

    /// Writes the text with its variables' values to the end of `out`.
    pub fn expand(&self, vars: &impl Vars, out: &mut Vec<u8>) {
        for part in &self.parts {
            match part {
                Part::Text(text) => out.extend_from_slice(text.as_bytes()),
                Part::Variable(variable) => vars.write(*variable, out),
                Part::Named(name) => vars.write_named(name, out),
            }
        }
    }
}

impl FromStr for Template {
    type Err = InvalidTemplate;

    fn from_str(text: &str) -> Result<Self, InvalidTemplate> {
        let part = |name: &str| part_of(name).ok_or_else(|| format!("unknown variable `{{{name}}}`"));
        let parts = read_parts(text, part);
        Ok(Self { parts: parts.map_err(|reason| InvalidTemplate { text: text.to_owned(), reason })? })
    }
}

impl From<String> for Part {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// Takes a text apart into what stands between braces, as `part_of` reads it, and the rest.
///
/// # Errors
/// What is wrong with the braces, or with what stands between them.
pub(super) fn read_parts<P: From<String>>(
    text: &str,
    part_of: impl Fn(&str) -> Result<P, String>,
) -> Result<Vec<P>, String> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(['{', '}']) {
        literal.push_str(&rest[..at]);
        let brace = &rest[at..=at];
        let tail = &rest[at + 1..];
        if let Some(after) = tail.strip_prefix(brace) {
            literal.push_str(brace);
            rest = after;
            continue;
        }
        if brace == "}" {
            return Err("`}` without its `{` (write `}}` for a brace)".to_owned());
        }
        let closed = tail.split_once('}').filter(|(name, _)| !name.contains('{'));
        let (name, after) =
            closed.ok_or_else(|| "`{` without its `}` (write `{{` for a brace)".to_owned())?;
        let part = part_of(name)?;
        if !literal.is_empty() {
            parts.push(std::mem::take(&mut literal).into());
        }
        parts.push(part);
        rest = after;
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(literal.into());
    }
    Ok(parts)
}

/// A text as it is written in a template.
pub(super) fn write_literal(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    f.write_str(&text.replace('{', "{{").replace('}', "}}"))
}

/// What stands between braces.
fn part_of(name: &str) -> Option<Part> {
    if let Some(name) = name.strip_prefix("var.") {
        return name.parse().ok().map(Part::Named);
    }
    let known = Variable::NAMES.iter().find(|(known, _)| *known == name);
    known.map(|(_, variable)| Part::Variable(*variable))
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for part in &self.parts {
            match part {
                Part::Text(text) => write_literal(text, f)?,
                Part::Named(name) => write!(f, "{{var.{name}}}")?,
                Part::Variable(variable) => write!(f, "{{{}}}", variable.name())?,
            }
        }
        Ok(())
    }
}

text_leaf!(Template, "a text with variables", "from {client_ip}");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_variables_and_doubled_braces() {
        for text in
            ["", "plain", "{client_ip}", "{var.jwt.sub}!", "a{host}b{path}{query}", "{{literal}} {method}"]
        {
            assert_eq!(text.parse::<Template>().unwrap().to_string(), text);
        }
        assert_eq!("{{x}}".parse::<Template>().unwrap().as_constant(), Some("{x}"));
        assert!("{endpoint}".parse::<Template>().unwrap().needs_endpoint());
    }

    #[test]
    fn names_the_unknown_variable_and_what_is_allowed() {
        let error = "x {clientip}".parse::<Template>().unwrap_err().to_string();
        assert!(error.contains("unknown variable `{clientip}`") && error.contains("{client_ip}"), "{error}");
        assert!("a { b".parse::<Template>().is_err());
        assert!("{a {host}".parse::<Template>().unwrap_err().to_string().contains("without its `}`"));
        assert!("{var.}".parse::<Template>().is_err());
        assert!("a } b".parse::<Template>().is_err());
    }
}
