//! A client of Redis for one kind of use: a script that decides at once, or is not waited for.
//!
//! [`resp`] (the protocol) and [`Breaker`] are pure; [`Lane`] is a connection with its task.

mod breaker;
mod client;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod lane;
mod resp;
mod script;
mod settings;

use breaker::Breaker;
use lane::Lane;

pub(crate) use client::{Redis, StoreError};
pub(crate) use resp::Reply;
pub(crate) use script::Script;
pub(crate) use settings::{RedisSettings, StoreTls};
