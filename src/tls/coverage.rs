//! What can only be seen of all certificates together: names that are held twice, and hosts that none holds.

use std::collections::HashMap;
use std::net::Ipv4Addr;

use crate::config::ClientAuth;
use crate::types::HostPattern;

use super::Problem;
use super::certificate::Certificate;
use super::private_key::KeyKind;

/// A warning for each certificate with names that an earlier one serves.
pub(super) fn overlaps(certificates: &[Certificate]) -> Vec<Problem> {
    let mut first: HashMap<(&HostPattern, KeyKind), &Certificate> = HashMap::new();
    let mut problems = Vec::new();
    for certificate in certificates {
        let mut shared = Vec::new();
        for name in &certificate.names {
            let holder = *first.entry((name, certificate.kind)).or_insert(certificate);
            // A certificate may also hold a name twice.
            if !std::ptr::eq(holder, certificate) {
                shared.push((name, holder));
            }
        }
        problems.extend(overlap(certificate, &shared));
    }
    problems
}

fn overlap(certificate: &Certificate, shared: &[(&HostPattern, &Certificate)]) -> Option<Problem> {
    let (name, holder) = shared.first()?;
    let others = match shared.len() - 1 {
        0 => String::new(),
        others => format!(" and {others} more of its names"),
    };
    let message = format!(
        "`{name}`{others} and an {} key are in `{}` too, which comes first and is used for them",
        certificate.kind.as_str(),
        holder.file.display(),
    );
    let help = "leave one of the two out, or give them different kinds of keys";
    Some(Problem::warning(certificate.at.clone(), message).help(help))
}

/// An error for each host with rules of its own that no certificate holds.
pub(super) fn missing(hosts: &[(HostPattern, ClientAuth)], certificates: &[Certificate]) -> Vec<Problem> {
    let names = || certificates.iter().flat_map(|certificate| &certificate.names);
    let missing = hosts.iter().filter_map(|(host, auth)| {
        let at = auth.at.clone();
        if is_address(host) {
            let message = format!("`{host}` is an address, which clients never send as server name");
            let help = "the listener's own `client_auth` is for clients that connect by address";
            return Some(Problem::error(at, message).help(help));
        }
        if names().any(|name| overlaps_host(name, host)) {
            return None;
        }
        let message = format!("each certificate of the listener lacks the name `{host}`");
        Some(Problem::error(at, message).help("add a certificate that holds it, or remove the host"))
    });
    missing.collect()
}

fn is_address(host: &HostPattern) -> bool {
    match host {
        HostPattern::Exact(host) => host.starts_with('[') || host.parse::<Ipv4Addr>().is_ok(),
        HostPattern::Wildcard(_) => false,
    }
}

/// Whether a name of a certificate, whose wildcards stand for one label, is for a host of the configuration, or for
/// some of them when its wildcard stands for many.
fn overlaps_host(name: &HostPattern, host: &HostPattern) -> bool {
    match (name, host) {
        (HostPattern::Exact(name), _) => host.matches(name),
        (HostPattern::Wildcard(suffix), HostPattern::Exact(host)) => {
            host.find('.').is_some_and(|dot| dot > 0 && host[dot..] == **suffix)
        }
        (HostPattern::Wildcard(suffix), HostPattern::Wildcard(hosts)) => suffix.ends_with(hosts.as_str()),
    }
}
