//! The profile, by subject: a table each, with what finds deviations below it.

mod admin;
mod credentials;
mod endpoints;
mod limits;
mod logs;
mod routes;
mod timeouts;
mod tls;
mod trust;

use std::fmt::Display;

use crate::config::Listener;
use crate::types::BindAddr;

use super::rule::Rule;

/// The tables with their headings.
pub(super) const SUBJECTS: [(&str, &[Rule]); 9] = [
    ("TLS", tls::RULES),
    ("Trust", trust::RULES),
    ("Credentials", credentials::RULES),
    ("Limits", limits::RULES),
    ("Timeouts", timeouts::RULES),
    ("Endpoints", endpoints::RULES),
    ("Routes and their filters", routes::RULES),
    ("Administration", admin::RULES),
    ("Logs", logs::RULES),
];

pub(super) fn all() -> impl Iterator<Item = &'static Rule> {
    SUBJECTS.iter().flat_map(|(_, rules)| *rules)
}

/// The value, if it is more than the profile has.
fn above<T: Copy + PartialOrd + Display>(value: T, most: T) -> Option<String> {
    (value > most).then(|| value.to_string())
}

/// What is found, if it is so.
fn found(is_so: bool, text: impl Display) -> Option<String> {
    is_so.then(|| text.to_string())
}

/// The addresses of a listener that other machines reach.
fn reached_at(listener: &Listener) -> Vec<String> {
    let reached = listener.binds.iter().filter(|bind| match bind {
        BindAddr::Inet(address) => !address.ip().is_loopback(),
        BindAddr::Unix(_) => false,
    });
    reached.map(ToString::to_string).collect()
}
