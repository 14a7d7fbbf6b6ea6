//! `evener simulate`: what each policy makes of the same requests, on a time of its own.
//!
//! The pool, its policies, outlier detection and slow start are the code that serves; only the endpoints, the clock
//! and the requests are made up. Nothing looks at the machine's clock or randomness, and no draw goes through its
//! mathematics library, so that the same arguments give the same bytes everywhere.

mod command;
mod engine;
mod fleet;
mod input;
mod plot;
mod report;
mod scenario;
mod server;
mod setting;
mod subject;
mod traffic;
mod waiting;

pub(crate) use command::{SimulateArgs, run};

/// Why a simulation cannot be run, as the user is told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct SimulateError(String);

impl SimulateError {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}
