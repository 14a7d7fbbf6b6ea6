use crate::config::KeyPath;
use crate::config::spec::{AccessSink, AccessSpec, SyslogAddr};

use super::Resolver;

impl Resolver<'_> {
    /// The access log, with paths relative to the file.
    pub(super) fn access_log(&mut self, mut spec: AccessSpec, at: &KeyPath) -> AccessSpec {
        if !self.has_json_lines {
            self.refuse_fields(at, &["fields", "request_headers", "response_headers"]);
        }
        for (key, is_used) in
            [("syslog", spec.to == AccessSink::Syslog), ("journald", spec.to == AccessSink::Journald)]
        {
            let path = at.child(key);
            if !is_used && self.source.root().at(&path).is_some() {
                self.warning(&path, format_args!("it has no effect, since lines go to `{}`", spec.to))
                    .help(format_args!("write `to: {key}`, or remove it"));
            }
        }
        if let AccessSink::File(path) = &mut spec.to {
            *path = self.base.join(&*path);
        }
        if let SyslogAddr::Unix(path) = &mut spec.syslog.address {
            *path = self.base.join(&*path);
        }
        spec.journald.socket = self.base.join(spec.journald.socket);
        spec
    }

    /// Fields are chosen by the text itself where there is one.
    fn refuse_fields(&mut self, at: &KeyPath, keys: &[&str]) {
        for key in keys {
            let path = at.child(*key);
            if self.source.root().at(&path).is_some() {
                self.error_at_key(&path, format_args!("`{key}` is for `format: json`"))
                    .help("remove it; a text with fields names what it wants, like {status} or {request_headers.referer}");
            }
        }
    }

    /// Looks at what a route, or a listener of layer 4, says of its lines.
    pub(super) fn check_own_lines(&mut self, at: &KeyPath) {
        if !self.has_json_lines {
            self.refuse_fields(at, &["fields"]);
        }
    }
}
