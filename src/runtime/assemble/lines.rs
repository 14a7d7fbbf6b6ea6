use crate::config::Config;
use crate::config::spec::{HeaderNameSpec, RedactSpec};
use crate::hooks::Credential;
use crate::runtime::Route;
use crate::telemetry::OwnLines;

/// What filters are shown to let somebody in, nobody else is to be told.
fn hide_credentials(routes: &[Route], redact: &mut RedactSpec) {
    let steps = routes.iter().flat_map(|route| &route.filters);
    for credential in steps.flat_map(|step| step.filter.credentials()) {
        match credential {
            Credential::Header(name) => redact.headers.push(HeaderNameSpec(name)),
            Credential::Query(name) => redact.add_query(&name),
        }
    }
}

/// What lines hide besides, and what those of routes are made like, where that is not as for all.
pub(super) fn add_lines(routes: &mut [Route], config: &mut Config) {
    hide_credentials(routes, &mut config.access_log.redact);
    for (route, written) in routes.iter_mut().zip(&config.routes) {
        let own = written.access_log.as_ref();
        route.lines = own.map(|spec| OwnLines::of_requests(spec, &config.access_log));
    }
}
