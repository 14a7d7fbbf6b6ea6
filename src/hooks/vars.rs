use std::io::Write;

use http::HeaderValue;
use pingora_http::RequestHeader;

use crate::types::{EndpointAddr, PoolName, RouteName, Template, VarName, Variable, Vars};

use super::{ClientCert, Facts, FilterCx, HookError, RequestView, ResponseView, Variables};

/// The values of a [`Template`]'s variables for one request.
#[derive(Debug)]
pub struct RequestVars<'a> {
    pub(crate) request: &'a RequestHeader,
    pub(crate) host: &'a str,
    pub(crate) facts: &'a Facts,
    /// `None` for a request that no route is for.
    pub(crate) route: Option<&'a RouteName>,
    pub(crate) pool: Option<&'a PoolName>,
    pub(crate) endpoint: Option<&'a EndpointAddr>,
    pub(crate) variables: &'a Variables,
}

impl<'a> RequestVars<'a> {
    /// The values while the request passes.
    pub fn of_request(request: &'a RequestView<'_>, cx: &'a FilterCx<'a>) -> Self {
        Self::of(request.head(), request.host(), cx)
    }

    /// The values while the response passes.
    pub fn of_response(response: &'a ResponseView<'_>, cx: &'a FilterCx<'a>) -> Self {
        Self::of(response.request(), response.request_host(), cx)
    }

    fn of(request: &'a RequestHeader, host: &'a str, cx: &'a FilterCx<'a>) -> Self {
        Self {
            request,
            host,
            facts: cx.facts(),
            route: Some(cx.route()),
            pool: cx.pool(),
            endpoint: cx.endpoint(),
            variables: cx.variables(),
        }
    }

    /// Whether the client has shown a certificate.
    pub fn has_client_cert(&self) -> bool {
        self.facts.client_cert().is_some()
    }

    /// The template's text as a header's value. One allocation.
    ///
    /// # Errors
    /// When a variable's value has a byte that no header may hold.
    pub fn header_value(&self, template: &Template) -> Result<HeaderValue, HookError> {
        let mut value = Vec::with_capacity(64);
        template.expand(self, &mut value);
        HeaderValue::try_from(value)
            .map_err(|error| HookError::new("a variable's value fits no header").with_source(error))
    }
}

impl Facts {
    fn client_cert(&self) -> Option<&ClientCert> {
        self.tls.as_ref()?.client_cert.as_ref()
    }

    /// Writes the value of a variable that tells how the client is connected; nothing for any other.
    pub(crate) fn write(&self, variable: Variable, out: &mut Vec<u8>) {
        let cert = || self.client_cert();
        let text = match variable {
            Variable::Scheme => self.scheme.as_str(),
            Variable::Sni => self.tls.as_ref().and_then(|tls| tls.server_name.as_deref()).unwrap_or(""),
            Variable::TlsVersion => self.tls.as_ref().map_or("", |tls| tls.version.as_str()),
            Variable::ClientCertSubject => cert().map_or("", |cert| &cert.subject),
            Variable::ClientCertFingerprint => cert().map_or("", |cert| &cert.fingerprint),
            Variable::ClientCertSerial => cert().map_or("", |cert| &cert.serial),
            Variable::ClientCertSans => {
                let sans = cert().map_or(&[][..], |cert| &cert.sans);
                return out.extend_from_slice(sans.join(", ").as_bytes());
            }
            _ => "",
        };
        out.extend_from_slice(text.as_bytes());
    }
}

impl Vars for RequestVars<'_> {
    fn write(&self, variable: Variable, out: &mut Vec<u8>) {
        let facts = self.facts;
        let text = match variable {
            Variable::Host => self.host,
            Variable::Path => self.request.uri.path(),
            Variable::Method => self.request.method.as_str(),
            Variable::Listener => facts.listener.as_str(),
            Variable::Route => self.route.map_or("", |route| route.as_str()),
            Variable::Pool => self.pool.map_or("", |pool| pool.as_str()),
            Variable::RequestId => return out.extend_from_slice(facts.request_id.as_bytes()),
            Variable::Query => match self.request.uri.query() {
                Some(query) => {
                    out.push(b'?');
                    query
                }
                None => "",
            },
            // Writing into a Vec cannot fail.
            Variable::ClientIp => return drop(write!(out, "{}", facts.client_ip)),
            Variable::Endpoint => {
                return drop(self.endpoint.map(|endpoint| write!(out, "{endpoint}")));
            }
            _ => return facts.write(variable, out),
        };
        out.extend_from_slice(text.as_bytes());
    }

    fn write_named(&self, name: &VarName, out: &mut Vec<u8>) {
        out.extend_from_slice(self.variables.get(name.as_str()).unwrap_or_default());
    }
}
