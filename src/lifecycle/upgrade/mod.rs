//! How one process takes the place of another: what each does at the steps of [`crate::handover`].

mod give;
mod luggage;
mod take;

pub(super) use give::{Estate, Handed, Upgrader};
pub(crate) use take::Takeover;
pub(super) use take::{Arrival, Newcomer};

/// What a new process could not do that refuses its configuration.
const CONFIGURATION: &str = "the configuration";
