use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue};

use crate::config::spec::{HeaderNameSpec, NamedMap, SecretSpec, TracingSpec};
use crate::config::{Collector, KeyPath, Tracing};

use super::{Resolver, to_usize};

/// What is said of the spans themselves.
const OWNED: [HeaderName; 5] = [CONTENT_TYPE, CONTENT_LENGTH, CONTENT_ENCODING, TRANSFER_ENCODING, HOST];

/// What has keys of its own, or is the process's to say.
const OWNED_RESOURCE: [&str; 4] =
    ["service.name", "telemetry.sdk.name", "telemetry.sdk.language", "telemetry.sdk.version"];

impl Resolver<'_> {
    pub(super) fn tracing(&mut self, spec: TracingSpec, at: &KeyPath) -> Tracing {
        let TracingSpec { to, ca, headers, sample, trust, service, resource, timeout, every, max_queue } =
            spec;
        if ca.is_some() && !to.is_tls() {
            self.error(&at.child("ca"), "there is no certificate to verify, since no TLS is spoken")
                .help("write `https:` in `to`, or remove the key");
        }
        if !headers.is_empty() && !to.is_tls() && !to.is_loopback() {
            self.warning(&at.child("headers"), "they go over `http:`, and anybody on the way can read them")
                .help("write `https:` in `to`");
        }
        self.check_resource(&service, &resource, at);
        let headers = self.collector_headers(headers, &at.child("headers"));
        let collector = Collector {
            ca: ca.filter(|_| to.is_tls()).map(|ca| self.base.join(ca)),
            to,
            headers,
            service,
            resource: resource.into_iter().collect(),
            timeout,
            every,
            max_queue: to_usize(max_queue),
        };
        Tracing { sample, trust, collector, at: at.clone() }
    }

    fn check_resource(&mut self, service: &str, resource: &NamedMap<String, String>, at: &KeyPath) {
        if service.is_empty() {
            self.error(&at.child("service"), "a service without a name cannot be found")
                .help("write a name, or remove the key");
        }
        for (name, _) in resource.iter().filter(|(name, _)| OWNED_RESOURCE.contains(&name.as_str())) {
            let told =
                self.error_at_key(&at.child("resource").child(name.as_str()), "it is told in any case");
            if name == "service.name" {
                told.help("write the name as `service`");
            }
        }
    }

    fn collector_headers(
        &mut self,
        headers: NamedMap<HeaderNameSpec, SecretSpec>,
        at: &KeyPath,
    ) -> Vec<(HeaderName, HeaderValue)> {
        let written = self.written_keys(at);
        let mut found = Vec::new();
        for ((HeaderNameSpec(name), secret), key) in headers.into_iter().zip(written) {
            let path = at.child(key.as_str());
            if OWNED.contains(&name) {
                self.error_at_key(&path, "it is set by what is sent").help("remove the key");
                continue;
            }
            let Some(bytes) = self.secret_bytes(&secret, &path) else { continue };
            let Ok(mut value) = HeaderValue::from_bytes(&bytes) else {
                self.error(&path, "it cannot be a header's value: it holds a line break or another control");
                continue;
            };
            value.set_sensitive(true);
            found.push((name, value));
        }
        found
    }
}
