use std::fmt::Write;

use crate::config::spec::Anonymous;
use crate::config::{self, Config, Service, Token};

use super::Assembled;

/// What a configuration comes to, for `evener check`: listeners, routes in the order in which they are tried,
/// and pools.
pub(crate) fn summary(assembled: &Assembled) -> String {
    let mut out = String::new();
    // Writing into a String cannot fail.
    let _ = write_summary(assembled, &mut out);
    out
}

fn write_summary(assembled: &Assembled, out: &mut String) -> std::fmt::Result {
    let config = &assembled.config;
    writeln!(out, "listeners")?;
    for listener in &config.listeners {
        let binds: Vec<_> = listener.binds.iter().map(ToString::to_string).collect();
        let binds = binds.join(", ");
        writeln!(out, "  {:<20} {binds}{}", listener.name.as_str(), manner(listener))?;
        write_passthrough(listener, config, out)?;
    }
    if let Some(admin) = &config.admin {
        let binds: Vec<_> = admin.binds.iter().map(ToString::to_string).collect();
        writeln!(out, "admin\n  {:<20} {}", "metrics, health, API", binds.join(", "))?;
        write_tokens(admin, out)?;
    }
    if let Some(config::Tracing { sample, collector, .. }) = &config.tracing {
        writeln!(out, "tracing")?;
        writeln!(
            out,
            "  {:<20} {}, {sample} of the traces that begin here",
            collector.service,
            collector.to.shown()
        )?;
    }
    if !config.routes.is_empty() {
        writeln!(out, "routes, in the order in which they are tried")?;
    }
    for id in assembled.snapshot.router.effective_order() {
        let route = &config.routes[id.0];
        let filters: Vec<_> = route.filters.iter().map(|filter| filter.name.as_str()).collect();
        let via = if filters.is_empty() { String::new() } else { format!("  [{}]", filters.join(", ")) };
        writeln!(
            out,
            "  {:<20} {:<40} -> {}{via}",
            route.name.as_str(),
            matches(route),
            action(route, config)
        )?;
    }
    writeln!(out, "pools")?;
    for pool in &config.pools {
        let endpoints: Vec<_> = pool.endpoints.iter().map(|endpoint| endpoint.address.to_string()).collect();
        let health = if pool.health.is_some() { "probed" } else { "not probed" };
        writeln!(
            out,
            "  {:<20} {}, {health}: {}",
            pool.name.as_str(),
            pool.balance.policy,
            endpoints.join(", ")
        )?;
    }
    Ok(())
}

/// Who may do what, where that is not for everybody to read and for nobody to change.
fn write_tokens(admin: &config::Admin, out: &mut String) -> std::fmt::Result {
    if admin.anonymous == Anonymous::Health {
        writeln!(out, "    without a token: health")?;
    }
    for Token { name, scope, .. } in &admin.tokens {
        writeln!(out, "    token {name}: {scope}")?;
    }
    Ok(())
}

/// How a listener serves clients, where that is out of the ordinary.
fn manner(listener: &config::Listener) -> String {
    let tls = listener.tls.as_ref().map(|tls| format!("TLS, certificates: {}", tls.certificates.len()));
    let redirect = listener.service.http().and_then(|http| http.redirect_https);
    let redirect = redirect.map(|https| format!("redirects to https on port {}", https.port));
    let proxied = listener.proxy_protocol_from.as_ref().map(|_| "after a PROXY header".to_owned());
    let manner: Vec<String> = proxied.into_iter().chain(tls).chain(redirect).collect();
    if manner.is_empty() { String::new() } else { format!("  ({})", manner.join(", ")) }
}

/// Where a listener passes on what it does not understand.
fn write_passthrough(listener: &config::Listener, config: &Config, out: &mut String) -> std::fmt::Result {
    let name = |pool: usize| config.pools[pool].name.as_str();
    let or_closed =
        |pool: Option<usize>| pool.map_or("closed".to_owned(), |pool| format!("pool {}", name(pool)));
    match &listener.service {
        Service::Http(_) => Ok(()),
        Service::Udp(udp) => writeln!(out, "    udp -> pool {}", name(udp.pool)),
        Service::Tcp(tcp) => {
            for (host, pools) in &tcp.sni {
                for (protocol, pool) in &pools.alpn {
                    writeln!(out, "    tcp for {host} with {protocol} -> pool {}", name(*pool))?;
                }
                writeln!(out, "    tcp for {host} -> {}", or_closed(pools.pool))?;
            }
            writeln!(out, "    tcp -> {}", or_closed(tcp.pool))
        }
    }
}

/// The conditions of a route in short.
fn matches(route: &config::Route) -> String {
    let spec = &route.matches;
    let mut parts = Vec::new();
    if let Some(hosts) = &spec.host {
        parts.extend(hosts.as_slice().iter().map(ToString::to_string));
    }
    parts.extend(spec.path.iter().map(ToString::to_string));
    parts.extend(spec.methods.iter().map(ToString::to_string));
    parts.extend(spec.headers.iter().map(|(name, value)| format!("header {name} {value}")));
    parts.extend(spec.query.iter().map(|(name, value)| format!("query {name} {value}")));
    parts.extend(spec.cookies.iter().map(|(name, value)| format!("cookie {name} {value}")));
    parts.extend(spec.clients.iter().map(|network| format!("from {network}")));
    parts.extend(spec.listeners.iter().map(|listener| format!("on {listener}")));
    if parts.is_empty() { "every request".to_owned() } else { parts.join(" ") }
}

fn action(route: &config::Route, config: &Config) -> String {
    match &route.action {
        config::Action::Pool(index) => format!("pool {}", config.pools[*index].name),
        config::Action::Redirect(redirect) => format!("redirect {} {}", redirect.status, redirect.to),
        config::Action::Respond(respond) => format!("respond {}", respond.status),
        config::Action::Files(files) => format!("files {}", files.root.display()),
        config::Action::Split(split) => {
            let side = |side: &config::SplitPool| format!("{} {}", config.pools[side.pool].name, side.weight);
            format!("split {}", split.to.iter().map(side).collect::<Vec<_>>().join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Origin;
    use crate::runtime::{Registry, assemble};

    use super::*;

    #[test]
    fn what_looks_after_requests_is_told_beside_what_serves_them() {
        let text = "listeners: { web: { bind: 127.0.0.1:0 } }
routes: [{ respond: {} }]
admin: { bind: 127.0.0.1:9901 }
tracing: { to: 'http://127.0.0.1:4318/?key=SECRET', headers: { x-team: SECRET }, sample: 5%, service: shop }
";
        let told = summary(&assemble(&Origin::test(text), &Registry::with_built_ins(), None).unwrap());
        assert!(told.contains("admin\n  metrics, health, API 127.0.0.1:9901\n"), "{told}");
        let tracing = "tracing\n  shop                 http://127.0.0.1:4318/?key=…, 5% of the traces that begin here\n";
        assert!(told.contains(tracing) && !told.contains("SECRET"), "{told}");
    }
}
