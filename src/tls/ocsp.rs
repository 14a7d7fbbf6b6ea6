//! Just enough of RFC 6960 to know for which certificate a response is and how long it is good. Clients verify it.

use std::path::Path;
use std::time::SystemTime;

use x509_parser::asn1_rs::Class;
use x509_parser::prelude::X509Certificate;

use crate::config::KeyPath;

use super::checks::date;
use super::der::{Values, generalized_time, trim_zeros};
use super::{Problem, files};

/// What is stapled to a certificate.
pub(super) struct Staple {
    /// `None` for one that is out of date: clients would refuse the certificate for it, which they do not for none.
    pub(super) response: Option<Vec<u8>>,
    pub(super) warning: Option<Problem>,
}

/// What a response says of one certificate.
struct Statement<'a> {
    serial: &'a [u8],
    status: Status,
    this_update: SystemTime,
    next_update: Option<SystemTime>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    Good,
    Revoked,
    Unknown,
}

/// Reads the response to staple to `leaf`.
pub(super) fn read(
    path: &Path,
    leaf: &X509Certificate<'_>,
    at: &KeyPath,
    now: SystemTime,
) -> Result<Staple, Problem> {
    let response = files::read(path, at)?;
    let file = path.display();
    let error = |message: String| Problem::error(at.clone(), message);
    if is_refusal(&response) {
        return Err(error(format!("in `{file}` the OCSP responder says that it had no answer")));
    }
    let statements = statements(&response).ok_or_else(|| {
        error(format!("`{file}` is no OCSP response")).help("it has to be in DER, not in PEM")
    })?;
    let serial = trim_zeros(leaf.raw_serial());
    let statement = statements
        .into_iter()
        .find(|statement| trim_zeros(statement.serial) == serial)
        .ok_or_else(|| error(format!("the OCSP response in `{file}` is for another certificate")))?;
    if statement.status == Status::Revoked {
        return Err(error(format!("the OCSP response in `{file}` says that the certificate is revoked"))
            .help("get a new certificate"));
    }
    let warning = complaint(&statement, now)
        .map(|reason| Problem::warning(at.clone(), format!("the OCSP response in `{file}` {reason}")));
    Ok(Staple { response: warning.is_none().then_some(response), warning })
}

/// Why a response is not stapled.
fn complaint(statement: &Statement<'_>, now: SystemTime) -> Option<String> {
    if statement.status == Status::Unknown {
        return Some("says that the certificate is unknown; it is not sent to clients".to_owned());
    }
    if now < statement.this_update {
        return Some(format!(
            "is not valid before {}; it is not sent to clients",
            date(statement.this_update)
        ));
    }
    match statement.next_update {
        Some(until) if until < now => Some(format!("expired on {}; it is not sent to clients", date(until))),
        _ => None,
    }
}

/// Whether the response is well-formed, and without an answer: `OCSPResponseStatus` is not `successful`.
fn is_refusal(response: &[u8]) -> bool {
    let status = Values::of(response).within().and_then(|mut response| response.next());
    status.is_some_and(|status| status.tag().0 == ENUMERATED && status.data != [0])
}

const ENUMERATED: u32 = 10;

/// `OCSPResponse` → `ResponseBytes` → `BasicOCSPResponse` → `ResponseData` → `SingleResponse`s.
fn statements(response: &[u8]) -> Option<Vec<Statement<'_>>> {
    let mut response = Values::of(response).within()?;
    response.next().filter(|status| status.tag().0 == ENUMERATED)?;
    let mut bytes = response.within()?.within()?;
    let basic = bytes.nth(1)?;
    let mut data = Values::of(basic.data).within()?.within()?;
    // An optional version, who answers (tag 1 or 2), and when it was written stand before.
    let first = data.next()?;
    let is_version = first.class() == Class::ContextSpecific && first.tag().0 == 0;
    let written = if is_version { data.nth(1)? } else { data.next()? };
    generalized_time(written)?;
    data.within()?.map(|single| statement(single.data)).collect()
}

fn statement(single: &[u8]) -> Option<Statement<'_>> {
    let mut single = Values::of(single);
    // `CertID`: an algorithm, two hashes of the issuer, the serial number.
    let serial = single.within()?.nth(3)?.data;
    let status = match single.next()?.tag().0 {
        0 => Status::Good,
        1 => Status::Revoked,
        _ => Status::Unknown,
    };
    let this_update = generalized_time(single.next()?)?;
    let next_update =
        single.next().filter(|value| value.class() == Class::ContextSpecific && value.tag().0 == 0);
    let next_update = match next_update {
        Some(value) => Some(generalized_time(Values::of(value.data).next()?)?),
        None => None,
    };
    Some(Statement { serial, status, this_update, next_update })
}
