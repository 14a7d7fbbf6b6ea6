use std::collections::HashMap;

use crate::config::spec::{ActionSpec, FilterSpec, MatchSpec, PathSpec, RespondSpec, RouteSpec};
use crate::config::{Action, Files, FilterUse, KeyPath, Route};
use crate::types::{ListenerName, RouteName};

use super::Resolver;
use super::names::Names;

/// Which routes have which names.
type Named = HashMap<RouteName, KeyPath>;

impl Resolver<'_> {
    pub(super) fn routes(&mut self, specs: Vec<RouteSpec>, at: &KeyPath, names: &Names<'_>) -> Vec<Route> {
        let serves_http = names.listeners.iter().any(|listener| listener.service.http().is_some());
        // What was left out of a listener may be what it does.
        let is_known = !self.is_partial(&KeyPath::default().child("listeners"));
        if specs.is_empty() && serves_http && is_known && !self.is_partial(at) {
            self.warning(at, "there is no route, so every request is answered with 404");
        }
        if !specs.is_empty() && !serves_http && !names.listeners.is_empty() {
            self.warning(at, "no listener speaks HTTP, so no request ever takes a route");
        }
        let places: Vec<KeyPath> = self.items(at).take(specs.len()).collect();
        let mut named = self.given_names(&specs, &places);
        let mut routes = Vec::with_capacity(specs.len());
        for (spec, path) in specs.into_iter().zip(&places) {
            let name = spec.name.clone().or_else(|| self.default_name(path, &mut named));
            routes.extend(self.route(spec, name, path, names));
        }
        routes
    }

    fn route(
        &mut self,
        spec: RouteSpec,
        name: Option<RouteName>,
        path: &KeyPath,
        names: &Names<'_>,
    ) -> Option<Route> {
        let match_path = path.child("match");
        self.check_lists(&spec.matches, &match_path);
        self.check_stars(&spec.matches, &match_path.child("path"));
        let listeners = self.route_listeners(&spec.matches.listeners, &match_path.child("listeners"), names);
        let filters = self.filters(&spec.filters, &path.child("filters"));
        let matches = spec.matches.clone();
        let access_log = spec.access_log.clone();
        self.check_own_lines(&path.child("access_log"));
        // A route that is wrong here still goes on, so that what is wrong with its filters is told as well; the
        // errors that were noted keep it from ever serving.
        let action =
            self.action(spec, path, names).unwrap_or_else(|| Action::Respond(RespondSpec::default()));
        Some(Route { name: name?, listeners, matches, filters, action, access_log })
    }

    /// The names that the file gives, each of which must be given once.
    fn given_names(&mut self, specs: &[RouteSpec], places: &[KeyPath]) -> Named {
        let mut named = Named::new();
        for (spec, path) in specs.iter().zip(places) {
            let Some(name) = &spec.name else { continue };
            match named.get(name) {
                Some(first) => {
                    let message = format!("`{name}` is the name of `{first}` already");
                    self.error(&path.child("name"), message).help("give each route a name of its own");
                }
                None => drop(named.insert(name.clone(), path.clone())),
            }
        }
        named
    }

    /// `route-N`, counted from 1, unless another route took that name.
    fn default_name(&mut self, path: &KeyPath, named: &mut Named) -> Option<RouteName> {
        let place = match path.segments().last() {
            Some(crate::config::Segment::Index(index)) => index + 1,
            _ => return None,
        };
        let name: RouteName = format!("route-{place}").parse().ok()?;
        if let Some(taken) = named.get(&name) {
            let message = format!("`{name}` is the name that `{path}` has by default");
            let taken = taken.child("name");
            self.error(&taken, message).help(format_args!("use another name, or give `{path}` one"));
            return None;
        }
        named.insert(name.clone(), path.clone());
        Some(name)
    }

    /// A list of conditions that is empty would match nothing if taken literally, and everything if not.
    fn check_lists(&mut self, matches: &MatchSpec, at: &KeyPath) {
        let lists = [
            ("listeners", matches.listeners.is_empty()),
            ("methods", matches.methods.is_empty()),
            ("clients", matches.clients.is_empty()),
        ];
        for (key, is_empty) in lists {
            let path = at.child(key);
            let is_written = self.source.root().at(&path).is_some();
            if is_empty && is_written && !self.is_partial(&path) {
                self.error(&path, "the list is empty, so no request could match")
                    .help("remove the key to match every request");
            }
        }
    }

    /// Elsewhere a star stands for what a path here begins anyway. Whoever has such paths can write them in the other forms.
    fn check_stars(&mut self, matches: &MatchSpec, at: &KeyPath) {
        if let Some(PathSpec::Prefix(path)) = &matches.path
            && path.contains('*')
        {
            self.error(at, "`*` stands for itself here, so that only paths with a star in them would match")
                .help(without_stars(path));
        }
    }

    fn route_listeners(&mut self, wanted: &[ListenerName], at: &KeyPath, names: &Names<'_>) -> Vec<usize> {
        let paths = self.items(at);
        let mut found = Vec::new();
        for (name, path) in wanted.iter().zip(paths) {
            let found_here = self.listener(name, &path, names);
            if let Some(index) = found_here
                && names.listeners[index].service.http().is_none()
            {
                let message = format!("listener `{name}` does not speak HTTP, so no request comes from it");
                self.error(&path, message)
                    .help("remove it here; `tcp` and `udp` name their pools themselves");
            }
            match found_here {
                Some(index) if !found.contains(&index) => found.push(index),
                _ => {}
            }
        }
        found
    }

    fn filters(&self, specs: &[FilterSpec], at: &KeyPath) -> Vec<FilterUse> {
        let uses = specs.iter().zip(self.items(at));
        uses.map(|(spec, path)| FilterUse {
            name: spec.name.clone(),
            settings: path.child(spec.name.as_str()),
        })
        .collect()
    }

    fn action(&mut self, mut spec: RouteSpec, path: &KeyPath, names: &Names<'_>) -> Option<Action> {
        let mut actions = spec.take_actions();
        if actions.len() > 1 {
            let keys: Vec<_> = actions.iter().map(|(key, _)| format!("`{key}`")).collect();
            let message =
                format!("{} stand here together; exactly one of them is allowed", keys.join(" and "));
            self.error(path, message).help("keep one, and make another route for the other");
            return None;
        }
        let Some((key, action)) = actions.pop() else {
            if !self.is_partial(path) {
                let keys = RouteSpec::ACTIONS.map(|key| format!("`{key}`"));
                self.error(path, "the route does not say who answers")
                    .help(format_args!("add exactly one of {}", keys.join(", ")));
            }
            return None;
        };
        let at = path.child(key);
        match action {
            ActionSpec::Pool(pool) => self.pool(&pool, &at, names.pools).map(Action::Pool),
            ActionSpec::Redirect(redirect) => {
                self.check_redirect(&redirect, &at);
                Some(Action::Redirect(redirect))
            }
            ActionSpec::Respond(respond) => {
                self.check_respond(&respond, &at);
                Some(Action::Respond(respond))
            }
            ActionSpec::Files(files) => {
                self.check_files(&files, &at);
                Some(Action::Files(Files { root: self.base.join(&files.root), spec: files, at }))
            }
            ActionSpec::Split(split) => self.split(split, &at, names.pools).map(Action::Split),
        }
    }
}

/// What whoever wrote a path with stars may have meant.
fn without_stars(path: &str) -> String {
    let before = path.trim_end_matches('*');
    if before.ends_with('/') && !before.contains('*') {
        return format!("write `{before}`, which is for all paths below it");
    }
    let pattern = regex::escape(path).replace(r"\*\*", ".*").replace(r"\*", "[^/]*");
    format!(
        "write `{{ regex: '^{pattern}$' }}` where it stands for anything, or `{{ exact: … }}` for this one path"
    )
}
