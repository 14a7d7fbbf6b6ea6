use crate::config::spec::PathSpec;
use crate::config::{Action, Route};

/// The paths of which some requests are answered without an endpoint. To look into a request before Pingora does costs a
/// little, so it is done only where it may be worth while.
#[derive(Debug, Default)]
pub(crate) struct EdgePaths {
    /// Whether it is all paths.
    are_all: bool,
    prefixes: Vec<Box<str>>,
}

impl EdgePaths {
    pub(crate) fn of(routes: &[Route]) -> Self {
        let mut paths = Self::default();
        for route in routes.iter().filter(|route| answers_itself(route)) {
            match &route.matches.path {
                Some(PathSpec::Prefix(path) | PathSpec::Exact(path)) => paths.add(path),
                Some(PathSpec::Regex(_)) | None => paths.are_all = true,
            }
        }
        paths
    }

    fn add(&mut self, path: &str) {
        let path = path.trim_end_matches('/');
        self.are_all |= path.is_empty();
        self.prefixes.push(path.into());
    }

    /// Whether one of them is that of a request with this target, which may be followed by anything.
    pub(crate) fn may_have(&self, target: &[u8]) -> bool {
        self.are_all || self.prefixes.iter().any(|prefix| target.starts_with(prefix.as_bytes()))
    }
}

/// Whether the route may have an answer of its own.
fn answers_itself(route: &Route) -> bool {
    matches!(route.action, Action::Redirect(_) | Action::Respond(_) | Action::Files(_))
        || route.filters.iter().any(|filter| filter.name == "cache")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(paths: &[&str]) -> EdgePaths {
        let mut all = EdgePaths::default();
        paths.iter().for_each(|path| all.add(path));
        all
    }

    #[test]
    fn a_target_is_known_by_its_beginning() {
        let known = paths(&["/static/", "/health"]);
        for (target, is_known) in
            [("/static/a.css HTTP/1.1", true), ("/health?x", true), ("/", false), ("/stat HTTP/1.1", false)]
        {
            assert_eq!(known.may_have(target.as_bytes()), is_known, "{target}");
        }
        assert!(paths(&["/"]).may_have(b"/anything"));
        assert!(!paths(&[]).may_have(b"/anything"));
    }
}
