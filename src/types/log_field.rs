use std::fmt;
use std::str::FromStr;

use http::HeaderName;

use super::{VarName, Variable, closest, text_leaf};

/// Something that a line of the access log can tell, by the name that it has in JSON and between the braces of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LogField {
    /// What every line may tell.
    Known(KnownField),
    /// What only templates tell of a request otherwise: `scheme`, `tls_version`, and what is in the client's certificate.
    Variable(Variable),
    /// `var.NAME`: what a filter has told.
    Named(VarName),
    /// `request_headers.NAME`
    RequestHeader(HeaderName),
    /// `response_headers.NAME`
    ResponseHeader(HeaderName),
}

/// A name that no field has.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct InvalidLogField {
    found: String,
}

macro_rules! known_fields {
    ($($(#[$doc:meta])* $field:ident $name:literal;)*) => {
        /// What every line may tell.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum KnownField {
            $($(#[$doc])* $field,)*
        }

        impl KnownField {
            const NAMES: &[(&'static str, Self)] = &[$(($name, Self::$field),)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$field => $name,)*
                }
            }
        }
    };
}

known_fields! {
    /// When it began.
    Time "time";
    /// The same as Apache writes it.
    TimeClf "time.clf";
    /// The id that the endpoint got as well.
    RequestId "request_id";
    /// The trace that the request is of.
    TraceId "trace_id";
    /// Its span in that trace, if it is recorded.
    SpanId "span_id";
    /// The client's address.
    Client "client";
    /// The listener's name.
    Listener "listener";
    /// `HTTP/1.1`, `TCP` and the like.
    Protocol "protocol";
    /// The method.
    Method "method";
    /// The host that was asked for.
    Host "host";
    /// Path and query.
    Target "target";
    /// The target's path.
    Path "path";
    /// The target's query with its `?`.
    Query "query";
    /// Method, target and version, as Apache writes them.
    RequestLine "request_line";
    /// The status of the answer.
    Status "status";
    /// Why the edge answered.
    Cause "cause";
    /// How a call of gRPC ended.
    GrpcStatus "grpc_status";
    /// What a rate limit did.
    RateLimit "rate_limit";
    /// What `waf` found.
    Waf "waf";
    /// What the cache did.
    Cache "cache";
    /// The route's name.
    Route "route";
    /// The pool's name.
    Pool "pool";
    /// The address of the last endpoint.
    Endpoint "endpoint";
    /// Endpoints that were tried.
    Attempts "attempts";
    /// Bytes from the client.
    BytesIn "bytes_in";
    /// Bytes to the client.
    BytesOut "bytes_out";
    /// The same as Apache writes it: `-` for none.
    BytesOutClf "bytes_out.clf";
    /// Until the filters' end.
    MsFilters "ms.filters";
    /// Until an endpoint was reached.
    MsConnect "ms.connect";
    /// Until the first byte of the answer.
    MsFirstByte "ms.first_byte";
    /// From the beginning to the end.
    MsTotal "ms.total";
    /// What the client says that it is.
    UserAgent "user_agent";
    /// The server name that was asked for in a TLS handshake.
    Sni "sni";
    /// Datagrams from the client.
    DatagramsIn "datagrams_in";
    /// Datagrams to the client.
    DatagramsOut "datagrams_out";
    /// How a connection or flow ended.
    Ended "ended";
    /// Who ended it.
    ClosedBy "closed_by";
    /// The share of such lines that are written, where that is not all.
    Sampled "sampled";
}

/// Fields whose name is that of a group and one of its members, which stand in an object of their own in JSON.
const GROUPS: [&str; 4] = ["ms", VAR, REQUEST_HEADERS, RESPONSE_HEADERS];
const VAR: &str = "var";
const REQUEST_HEADERS: &str = "request_headers";
const RESPONSE_HEADERS: &str = "response_headers";
/// The name that templates elsewhere have for `client`.
const CLIENT_IP: &str = "client_ip";

impl LogField {
    /// The group, if it is a member of one, and the name in it.
    pub fn group_and_name(&self) -> (Option<&'static str>, String) {
        let name = self.to_string();
        let grouped = GROUPS.into_iter().find_map(|group| {
            let member = name.strip_prefix(group)?.strip_prefix('.')?;
            Some((Some(group), member.to_owned()))
        });
        grouped.unwrap_or((None, name))
    }

    fn parse(text: &str) -> Option<Self> {
        if let Some((group, member)) = text.split_once('.') {
            let header = || HeaderName::from_bytes(member.as_bytes()).ok();
            match group {
                VAR => return member.parse().ok().map(Self::Named),
                REQUEST_HEADERS => return header().map(Self::RequestHeader),
                RESPONSE_HEADERS => return header().map(Self::ResponseHeader),
                _ => {}
            }
        }
        if text == CLIENT_IP {
            return Some(Self::Known(KnownField::Client));
        }
        let known = KnownField::NAMES.iter().find(|(name, _)| *name == text);
        let variable = || Variable::NAMES.iter().find(|(name, _)| *name == text);
        known.map(|(_, field)| Self::Known(*field)).or_else(|| variable().map(|(_, it)| Self::Variable(*it)))
    }
}

impl FromStr for LogField {
    type Err = InvalidLogField;

    fn from_str(text: &str) -> Result<Self, InvalidLogField> {
        Self::parse(text).ok_or_else(|| InvalidLogField { found: text.to_owned() })
    }
}

impl fmt::Display for LogField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(field) => f.write_str(field.name()),
            Self::Variable(variable) => f.write_str(variable.name()),
            Self::Named(name) => write!(f, "{VAR}.{name}"),
            Self::RequestHeader(name) => write!(f, "{REQUEST_HEADERS}.{name}"),
            Self::ResponseHeader(name) => write!(f, "{RESPONSE_HEADERS}.{name}"),
        }
    }
}

impl fmt::Display for InvalidLogField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let of_templates = Variable::NAMES.iter().map(|(name, _)| *name);
        // Most of them are fields of every line.
        let others = of_templates.filter(|name| matches!(LogField::parse(name), Some(LogField::Variable(_))));
        let known = || KnownField::NAMES.iter().map(|(name, _)| *name).chain(others.clone());
        write!(f, "no line has a field `{}`; ", self.found)?;
        match closest(&self.found, known()) {
            Some(name) => write!(f, "did you mean `{name}`?"),
            None => {
                f.write_str("there are")?;
                known().try_for_each(|name| write!(f, " {name}"))?;
                write!(f, " {VAR}.NAME {REQUEST_HEADERS}.NAME {RESPONSE_HEADERS}.NAME")
            }
        }
    }
}

text_leaf!(LogField, "a field of the access log", "status");

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> LogField {
        text.parse().unwrap()
    }

    #[test]
    fn every_name_is_read_and_written_back() {
        let others = ["scheme", "var.jwt.sub", "request_headers.referer", "response_headers.content-type"];
        for name in KnownField::NAMES.iter().map(|(name, _)| *name).chain(others) {
            assert_eq!(read(name).to_string(), name);
        }
        assert_eq!(read("client_ip"), read("client"));
        assert_eq!(read("request_headers.X-Tenant").to_string(), "request_headers.x-tenant");
    }

    #[test]
    fn members_have_a_group() {
        let cases = [
            ("ms.total", Some("ms"), "total"),
            ("time.clf", None, "time.clf"),
            ("var.jwt.sub", Some("var"), "jwt.sub"),
            ("request_headers.referer", Some("request_headers"), "referer"),
        ];
        for (text, group, name) in cases {
            assert_eq!(read(text).group_and_name(), (group, name.to_owned()));
        }
    }

    #[test]
    fn an_unknown_name_is_told_with_the_closest_or_all() {
        let error = |text: &str| text.parse::<LogField>().unwrap_err().to_string();
        assert_eq!(error("statsu"), "no line has a field `statsu`; did you mean `status`?");
        assert_eq!(error("ms.totl"), "no line has a field `ms.totl`; did you mean `ms.total`?");
        let all = error("colour");
        for name in ["status", "host", "ms.first_byte", "tls_version", "var.NAME"] {
            assert_eq!(all.matches(&format!(" {name} ")).count(), 1, "{all}");
        }
        for text in ["", "var.", "request_headers.a b", "ms.", "headers.referer"] {
            assert!(text.parse::<LogField>().is_err(), "{text}");
        }
    }
}
