use std::path::Path;
use std::time::{Duration, SystemTime};

use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::crypto::aws_lc_rs;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::X509Certificate;

use crate::config::KeyPath;
use crate::types::HostPattern;

use super::Problem;
use super::der::{Values, from_unix};

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The host names that a certificate holds. Names that are no host, or have a star within a label, hold nothing.
pub(super) fn names(leaf: &X509Certificate<'_>) -> Vec<HostPattern> {
    let hosts = alternative_names(leaf).filter_map(|name| match name {
        GeneralName::DNSName(host) => host.parse().ok(),
        _ => None,
    });
    hosts.collect()
}

fn alternative_names<'c>(leaf: &'c X509Certificate<'_>) -> impl Iterator<Item = &'c GeneralName<'c>> {
    let extension = leaf.subject_alternative_name().ok().flatten();
    extension.into_iter().flat_map(|extension| &extension.value.general_names)
}

pub(super) fn not_after(certificate: &X509Certificate<'_>) -> SystemTime {
    from_unix(certificate.validity().not_after.timestamp())
}

/// That the certificate is valid and not soon to expire: with less than 30 days left, and less than a third of its
/// time, a renewal is overdue.
pub(super) fn dates(
    certificate: &X509Certificate<'_>,
    file: &Path,
    at: &KeyPath,
    now: SystemTime,
) -> Option<Problem> {
    const NOTICE: Duration = Duration::from_secs(30 * 24 * 3600);
    let from = from_unix(certificate.validity().not_before.timestamp());
    let until = not_after(certificate);
    let file = file.display();
    if now < from {
        let message = format!("the certificate in `{file}` is not valid before {}", date(from));
        let help = format!("if it should be, look at the clock of this machine: it shows {}", date(now));
        return Some(Problem::error(at.clone(), message).help(help));
    }
    let Ok(left) = until.duration_since(now) else {
        let message = format!("the certificate in `{file}` expired on {}", date(until));
        return Some(Problem::error(at.clone(), message).help("renew it"));
    };
    let lifetime = until.duration_since(from).unwrap_or_default();
    if left >= NOTICE.min(lifetime / 3) {
        return None;
    }
    let message = format!("the certificate in `{file}` expires on {}, {}", date(until), days(left));
    let help = if left < 7 * DAY { "renew it now" } else { "renew it" };
    Some(Problem::warning(at.clone(), message).help(help))
}

fn days(left: Duration) -> String {
    match left.as_secs() / DAY.as_secs() {
        0 => "within a day".to_owned(),
        1 => "in one day".to_owned(),
        days => format!("in {days} days"),
    }
}

pub(super) fn date(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}

/// That a certificate can be chosen: by a name of its own, or for clients that name no known host.
pub(super) fn holds_names(
    leaf: &X509Certificate<'_>,
    names: &[HostPattern],
    is_default: bool,
    file: &Path,
    at: &KeyPath,
) -> Option<Problem> {
    let holds_addresses = alternative_names(leaf).any(|name| matches!(name, GeneralName::IPAddress(_)));
    if !names.is_empty() || (is_default && holds_addresses) {
        return None;
    }
    let (name, help) = if holds_addresses {
        ("host name", "clients never send addresses as server names; make it the first to serve them")
    } else {
        ("subject alternative name", "clients ignore the common name (CN); add the names as DNS:…")
    };
    let message = format!("the certificate in `{}` holds no {name}", file.display());
    // The first one serves clients that check no names.
    let problem = if is_default {
        Problem::warning(at.clone(), message)
    } else {
        Problem::error(at.clone(), format!("{message}, so it would never be chosen"))
    };
    Some(problem.help(help))
}

/// That each certificate of a file is signed by the next.
pub(super) fn chain(chain: &[X509Certificate<'_>], file: &Path, at: &KeyPath) -> Option<Problem> {
    let file = file.display();
    let problem = |message| {
        let order = "the file has the host's certificate first and then, each time, the one that signed the one \
                     before; leave out what does not belong";
        Some(Problem::error(at.clone(), message).help(order))
    };
    for (index, pair) in chain.windows(2).enumerate() {
        let (place, child, issuer) = (index + 1, &pair[0], &pair[1]);
        if child.issuer().as_raw() != issuer.subject().as_raw() {
            return problem(format!(
                "the chain in `{file}` is broken: certificate {place} was signed by `{}`, and certificate {} is that \
                 of `{}`",
                child.issuer(),
                place + 1,
                issuer.subject(),
            ));
        }
        if !is_signed(child, issuer) {
            return problem(format!(
                "the chain in `{file}` is broken: certificate {} has the name of who signed certificate {place}, but \
                 another key",
                place + 1
            ));
        }
    }
    None
}

/// Signatures of unknown algorithms pass: clients may know them.
fn is_signed(child: &X509Certificate<'_>, issuer: &X509Certificate<'_>) -> bool {
    let known: WebPkiSupportedAlgorithms = aws_lc_rs::default_provider().signature_verification_algorithms;
    let Some((signature_algorithm, key_algorithm)) = algorithms(child, issuer) else {
        return false;
    };
    let (key, signature) = (&issuer.public_key().subject_public_key.data, &child.signature_value.data);
    let mut fitting = known.all.iter().filter(|algorithm| {
        *algorithm.signature_alg_id() == *signature_algorithm
            && *algorithm.public_key_alg_id() == *key_algorithm
    });
    match fitting.next() {
        None => true,
        Some(algorithm) => algorithm.verify_signature(key, child.tbs_certificate.as_ref(), signature).is_ok(),
    }
}

/// The algorithm of the child's signature and that of the issuer's key, as they are compared: in DER.
fn algorithms<'c>(
    child: &'c X509Certificate<'_>,
    issuer: &'c X509Certificate<'_>,
) -> Option<(&'c [u8], &'c [u8])> {
    let signature = Values::of(child.as_raw()).within()?.nth(1)?;
    let key = Values::of(issuer.public_key().raw).within()?.next()?;
    Some((signature.data, key.data))
}
