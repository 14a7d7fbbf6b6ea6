use crate::config::{self, Diagnostics, Source};
use crate::pools::{PeerTls, UnusableTls};
use crate::tls::{Clock, Problem, UpstreamFiles};

/// TLS towards the endpoints of a pool, or towards a store, if its files are sound.
pub(super) fn peer_tls(
    config: &config::UpstreamTls,
    clock: &Clock,
    source: &Source,
    diagnostics: &mut Diagnostics,
) -> Option<PeerTls> {
    let loaded = UpstreamFiles::load(config, clock);
    let loaded = loaded.map_err(|problems| report(problems, source, diagnostics)).ok()?;
    let UpstreamFiles { authorities, identity, warnings } = loaded;
    report(warnings, source, diagnostics);
    let refuse = |error| {
        let told = diagnostics.error(source, &config.at, format!("it cannot be used: {error}"));
        if matches!(error, UnusableTls::NoAuthority) {
            told.help("name a file of authorities as `ca`, or install the system's (`ca-certificates`)");
        }
    };
    PeerTls::new(authorities.as_deref(), identity.as_ref(), config.verify).map_err(refuse).ok()
}

/// Tells of what is wrong with files of TLS.
pub(super) fn report(problems: Vec<Problem>, source: &Source, diagnostics: &mut Diagnostics) {
    for Problem { at, message, help, is_error } in problems {
        let told = if is_error {
            diagnostics.error(source, &at, message)
        } else {
            diagnostics.warning(source, &at, message)
        };
        if let Some(help) = help {
            told.help(help);
        }
    }
}
