use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use http::HeaderName;

use crate::cache::{Caching, Plan};
use crate::filters::FieldName;
use crate::hooks::{BuildCx, BuildError, Filter, FilterCx, Flow, HookError, PartName, RequestView};

use super::purging::Purging;
use super::{CacheSettings, ClientDirectives, KeyQuery};

/// The filter `cache`.
#[derive(Debug)]
pub struct CacheFilter {
    caching: Arc<Caching>,
    purging: Option<Purging>,
}

impl CacheFilter {
    /// Makes the filter of its settings.
    ///
    /// # Errors
    /// When there is no cache of that name, a part is larger than the whole, or what removes answers is not safe.
    pub fn build(settings: CacheSettings, cx: &BuildCx<'_>) -> Result<Self, BuildError> {
        let cache = cx.cache(&settings.store).map_err(|error| error.at("in"))?;
        let percent = settings.heuristic.get();
        let heuristic = u8::try_from(percent).ok().filter(|percent| *percent <= 100);
        let heuristic = heuristic.ok_or_else(|| {
            BuildError::new(format!("`{percent}%` is more than all; 0% to 100% are allowed")).at("heuristic")
        })?;
        let defaults = Plan::default();
        let plan = Plan {
            ttl: settings.ttl.iter().map(|(status, ttl)| (status.0, ttl.get())).collect(),
            force_ttl: settings.force_ttl,
            heuristic: (heuristic > 0).then_some(heuristic),
            while_revalidate: settings.stale.while_revalidate.get(),
            if_error: settings.stale.if_error.get(),
            control_fields: settings.control_fields.map_or(defaults.control_fields, |fields| names(&fields)),
            store_set_cookie: settings.store_set_cookie,
            store_authorized: settings.store_authorized,
            honours_clients: settings.client_directives == ClientDirectives::Honour,
            key_headers: names(&settings.key.headers),
            key_cookies: cookies(&settings.key.cookies),
            key_vars: settings.key.vars,
            ignores_query: settings.key.query == KeyQuery::None,
            bypass_headers: names(&settings.bypass.headers),
            bypass_cookies: cookies(&settings.bypass.cookies),
            tells_status: settings.status_header,
        };
        let purging = settings.purge.map(|purge| Purging::build(purge, cache.clone(), cx)).transpose();
        let purging = purging.map_err(|error| error.at("purge"))?;
        Ok(Self { caching: Arc::new(Caching { cache, plan }), purging })
    }
}

fn cookies(names: &[PartName]) -> Vec<String> {
    names.iter().map(|name| name.as_str().to_owned()).collect()
}

fn names(fields: &[FieldName]) -> Vec<HeaderName> {
    fields.iter().map(|field| field.name().clone()).collect()
}

#[async_trait]
impl Filter for CacheFilter {
    /// Only says how the request is cached. What is stored is looked up when all filters have let the request pass.
    async fn on_request(
        &self,
        request: &mut RequestView<'_>,
        cx: &mut FilterCx<'_>,
    ) -> Result<Flow, HookError> {
        if let Some(purging) = self.purging.as_ref().filter(|purging| purging.is_asked_by(request)) {
            return purging.answer(request, cx).await;
        }
        cx.extensions_mut().insert(self.caching.clone());
        Ok(Flow::Continue)
    }

    fn describe(&self) -> String {
        let Plan { ttl, if_error, .. } = &self.caching.plan;
        let ttl = ttl.iter().map(|(status, ttl)| format!(", {} for {}", status.as_u16(), shown(*ttl)));
        let stale = if if_error.is_zero() {
            String::new()
        } else {
            format!(", stale for {} if need be", shown(*if_error))
        };
        format!("in `{}`{}{stale}", self.caching.cache.name, ttl.collect::<String>())
    }
}

fn shown(span: Duration) -> impl std::fmt::Display {
    humantime::format_duration(span)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hooks::testing;

    #[test]
    fn it_needs_a_cache_that_is_there() {
        let settings = serde_yaml::from_str("in: main").unwrap();
        let error = testing::build(settings, CacheFilter::build).unwrap_err();
        assert_eq!(error.to_string(), "no cache named `main`");
    }
}
