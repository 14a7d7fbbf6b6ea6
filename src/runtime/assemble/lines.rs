use crate::config::Config;
use crate::config::spec::{HeaderNameSpec, InvalidParameterName, RedactSpec};
use crate::hooks::{Credential, Filter};
use crate::runtime::Route;
use crate::telemetry::OwnLines;

/// What a filter is shown to let somebody in, nobody else is to be told.
///
/// # Errors
/// When what it names could not be told from other things.
pub(super) fn hide_credentials(
    filter: &dyn Filter,
    redact: &mut RedactSpec,
) -> Result<(), InvalidParameterName> {
    for credential in filter.credentials() {
        match credential {
            Credential::Header(name) => redact.headers.push(HeaderNameSpec(name)),
            Credential::Query(name) => redact.add_query(&name)?,
        }
    }
    Ok(())
}

/// What lines hide besides, and what those of routes are made like, where that is not as for all.
pub(super) fn add_lines(routes: &mut [Route], besides: RedactSpec, config: &mut Config) {
    config.access_log.redact.query.extend(besides.query);
    config.access_log.redact.headers.extend(besides.headers);
    for (route, written) in routes.iter_mut().zip(&config.routes) {
        let own = written.access_log.as_ref();
        route.lines = own.map(|spec| OwnLines::of_requests(spec, &config.access_log));
    }
}
