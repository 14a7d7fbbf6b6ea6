//! Pools: sets of endpoints, how one of them is picked, and which of them are fit.
//!
//! A pick reads one atomically published picker (the fit members and the policy built for them)
//! and a few atomics; it never waits and never locks. What changes membership, a probe that flips an
//! endpoint's health, builds a new picker and publishes it.

mod endpoint;
mod health;
pub mod policy;
mod pool;

pub(crate) use endpoint::{Endpoint, Fitness, Lease};
pub(crate) use health::Prober;
pub(crate) use pool::{Pick, PolicyFactory, Pool, Tried};
