//! Looking at requests as they end: only for what can come.

use std::fmt::Display;

use crate::filters;
use crate::pools::Pool;
use crate::runtime::{Cause, Registry, Snapshot, Tap, TapFilter, TapStatus};
use crate::types::{EndpointAddr, Span};

use super::{Control, ControlError, Known, find_pool};

impl Control {
    /// Looks at requests as they end, for so long at most.
    ///
    /// # Errors
    /// When as many look as may, it is for too long, or no request could ever be one of those.
    pub(crate) fn tap(&self, filter: TapFilter, wait: Span) -> Result<Tap, ControlError> {
        if wait > Tap::LONGEST {
            return Err(ControlError::LooksTooLong { found: wait });
        }
        check(&filter, &self.live.snapshot())?;
        Ok(Tap::open(self.live.watchers(), filter)?)
    }
}

/// Whether there is what the filter names.
fn check(filter: &TapFilter, snapshot: &Snapshot) -> Result<(), ControlError> {
    if let Some(name) = &filter.route {
        let routes = snapshot.routes.iter().map(|route| &route.name);
        known(name, routes).map_err(|help| ControlError::UnknownRoute { found: name.clone(), help })?;
    }
    if let Some(name) = &filter.listener {
        let listeners = || snapshot.listeners.iter();
        known(name, listeners().map(|listener| &listener.name))
            .map_err(|help| ControlError::UnknownListener { found: name.clone(), help })?;
        if listeners().any(|listener| listener.name.as_str() == name && !listener.speaks_http()) {
            return Err(ControlError::Unread(name.clone()));
        }
    }
    let pools = match &filter.pool {
        Some(name) => std::slice::from_ref(find_pool(&snapshot.pools, name)?),
        None => &*snapshot.pools,
    };
    if let Some(address) = &filter.endpoint {
        let has = |pool: &Pool| pool.endpoints().iter().any(|endpoint| **endpoint.address() == *address);
        if !pools.iter().any(|pool| has(pool)) {
            return Err(unknown_endpoint(address, filter.pool.as_deref(), snapshot));
        }
    }
    match &filter.status {
        Some(TapStatus::Cause(word)) if knows_all_causes(snapshot) => {
            let words = Cause::WORDS.into_iter().chain(filters::WORDS);
            known(word, words).map_err(|help| ControlError::UnknownCause { found: word.clone(), help })
        }
        _ => Ok(()),
    }
}

/// Whether a name is one of those that there are; else what there is.
fn known(name: &str, all: impl Iterator<Item = impl Display>) -> Result<(), Known> {
    let all: Vec<_> = all.map(|known| known.to_string()).collect();
    if all.iter().any(|known| known == name) { Ok(()) } else { Err(Known::for_name(name, all)) }
}

fn unknown_endpoint(address: &EndpointAddr, pool: Option<&str>, snapshot: &Snapshot) -> ControlError {
    let found = address.to_string();
    let pools = snapshot.pools.iter().filter(|known| pool.is_none_or(|name| known.name().as_str() == name));
    let all = pools.flat_map(|pool| pool.endpoints()).map(|endpoint| endpoint.address().to_string());
    let help = Known::for_name(&found, all.collect());
    match pool {
        Some(pool) => ControlError::UnknownEndpoint { pool: pool.to_owned(), found, help },
        None => ControlError::UnknownAddress { found, help },
    }
}

/// Filters of somebody's own have words of their own, which nobody else knows.
fn knows_all_causes(snapshot: &Snapshot) -> bool {
    let built_ins = Registry::with_built_ins();
    let mut steps = snapshot.routes.iter().flat_map(|route| &route.filters);
    steps.all(|step| built_ins.has_filter(&step.name))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Origin;
    use crate::runtime::{Live, Unchanging, assemble};

    fn told(filter: &str) -> Result<(), String> {
        let text = "listeners: { web: { bind: 127.0.0.1:0 }, db: { bind: 127.0.0.1:0, tcp: { pool: db } } }
pools: { app: { endpoints: [127.0.0.1:9001] }, db: { endpoints: [127.0.0.1:9002] } }
routes: [{ name: api, match: { path: /api }, pool: app }, { name: rest, filters: [allow: [10.0.0.0/8]], pool: app }]
";
        let assembled = assemble(&Origin::test(text), &Registry::with_built_ins(), None).unwrap();
        let control = Control::new(Arc::new(Live::new(assembled.snapshot)), Arc::new(Unchanging::default()));
        let filter = serde_json::from_str(filter).unwrap();
        control.tap(filter, Span::from_secs(60)).map(drop).map_err(|error| error.to_string())
    }

    #[test]
    fn what_there_is_may_be_waited_for() {
        for filter in [
            "{}",
            r#"{"route":"api","pool":"app","listener":"web","endpoint":"127.0.0.1:9001"}"#,
            r#"{"endpoint":"127.0.0.1:9002","status":"5xx"}"#,
            r#"{"status":"queue_full"}"#,
            r#"{"status":"client_refused"}"#,
        ] {
            assert_eq!(told(filter), Ok(()), "{filter}");
        }
    }

    #[test]
    fn what_there_is_not_is_refused_with_what_there_is() {
        for (filter, expected) in [
            (
                r#"{"route":"apo"}"#,
                "no route named `apo`\n  help: did you mean `api`?\n  help: there is api, rest",
            ),
            (r#"{"pool":"ap"}"#, "no pool named `ap`\n  help: did you mean `app`?\n  help: there is app, db"),
            (
                r#"{"listener":"wbe"}"#,
                "no listener named `wbe`\n  help: did you mean `web`?\n  help: there is web, db",
            ),
            (r#"{"endpoint":"127.0.0.1:9"}"#, "no pool has an endpoint `127.0.0.1:9`"),
            (r#"{"pool":"app","endpoint":"127.0.0.1:9002"}"#, "pool `app` has no endpoint `127.0.0.1:9002`"),
            (
                r#"{"status":"queue_ful"}"#,
                "no request ends with the cause `queue_ful`\n  help: did you mean `queue_full`?",
            ),
            (r#"{"listener":"db"}"#, "listener `db` passes on what it does not read"),
        ] {
            let error = told(filter).unwrap_err();
            assert!(error.starts_with(expected), "{filter}: {error}");
        }
    }

    #[test]
    fn nobody_looks_for_longer_than_may_be() {
        let error = ControlError::LooksTooLong { found: Span::from_secs(660) };
        assert_eq!(error.to_string(), "requests are looked at for 10m at most, not for 11m");
    }
}
