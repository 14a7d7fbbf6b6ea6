use std::sync::Arc;

use crate::config;
use crate::hooks::{Authorities, BuildCx, BuildError, FetchUrl, Keeping, Scope};
use crate::tracing::{Collector, Tracing};

/// What a configuration says of traces. A collector whose settings are as before stays, with what waits for it.
///
/// # Errors
/// When the file of its authorities cannot be used.
pub(super) fn tracing(
    config: &config::Tracing,
    cx: &BuildCx<'_>,
    keeping: &Keeping<'_>,
    client: impl FetchUrl + 'static,
) -> Result<Tracing, BuildError> {
    let settings = &config.collector;
    let authorities = settings.ca.as_ref().map(|ca| cx.watch_file(ca, Authorities::parse));
    let authorities = authorities.transpose().map_err(|error| error.at("ca"))?;
    let make = || Collector::new(settings.clone(), authorities, Arc::new(client));
    let is_same = |known: &Collector| known.settings() == settings;
    let collector = keeping.keep_while(&Scope::tracing(), "collector", make, is_same);
    let exporter = keeping.counts(&Scope::tracing(), "spans");
    Ok(Tracing::new(config.sample, config.trust, collector, exporter))
}
