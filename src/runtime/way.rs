use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;

use http::{HeaderMap, Method};
use tokio::time::Instant;

use crate::hooks::{PickCx, Variables};
use crate::router::{Parts, RouteId};
use crate::types::{RejectedPath, normalise_path};

use super::trust::is_refused_method;
use super::{Cause, Listener, Snapshot, find_route};

/// A request that is asked about, as far as it decides its own way.
pub(super) struct Asked<'a> {
    pub(super) listener: &'a Arc<Listener>,
    pub(super) method: &'a Method,
    pub(super) host: &'a str,
    /// As the client wrote it.
    pub(super) path: &'a str,
    pub(super) query: Option<&'a str>,
    /// Those that are believed.
    pub(super) headers: &'a HeaderMap,
    /// The client's address, as far as it is believed.
    pub(super) client_ip: IpAddr,
}

/// What becomes of a request before any filter sees it. A path is in canonical form here.
pub(super) enum Way<'a> {
    MethodRefused,
    PathRefused(RejectedPath),
    Https { path: Cow<'a, str>, url: String },
    Routed { path: Cow<'a, str>, found: Result<RouteId, Cause> },
}

impl<'a> Asked<'a> {
    pub(super) fn way(&self, snapshot: &Snapshot) -> Way<'a> {
        if is_refused_method(self.method) {
            return Way::MethodRefused;
        }
        let path = match normalise_path(self.path) {
            Ok(canonical) => canonical.map_or(Cow::Borrowed(self.path), Cow::Owned),
            Err(reason) => return Way::PathRefused(reason),
        };
        let query = self.query.map_or(String::new(), |query| format!("?{query}"));
        match self.listener.https_url(self.host, &format!("{path}{query}"), self.headers) {
            Some(url) => Way::Https { path, url },
            None => {
                let found = find_route(&snapshot.router, &self.parts(&path));
                Way::Routed { path, found }
            }
        }
    }

    /// What the router is asked.
    pub(super) fn parts<'p>(&'p self, path: &'p str) -> Parts<'p> {
        Parts {
            listener: self.listener.id,
            host: self.host,
            path,
            query: self.query,
            method: self.method,
            headers: self.headers,
            client_ip: self.client_ip,
        }
    }

    /// What a choice by a key is made from. What filters would have told of the request is not known.
    pub(super) fn pick_cx<'p>(&'p self, path: &'p str) -> PickCx<'p> {
        PickCx {
            client_ip: self.client_ip,
            now: Instant::now(),
            host: self.host,
            path,
            query: self.query,
            headers: self.headers,
            variables: Variables::NONE,
            notes: None,
        }
    }
}

/// Why a request that finds no single route is not served.
pub(super) fn why_unrouted(cause: &Cause) -> &'static str {
    match cause {
        Cause::NoRoute => "no route matches",
        _ => "the path has an encoded slash, and read as a slash it would take another route",
    }
}
