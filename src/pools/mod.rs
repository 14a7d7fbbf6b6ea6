//! Pools: sets of endpoints, how one of them is picked, and which of them are fit.
//!
//! A pick reads one atomically published picker (those that get work and the policy built for them)
//! and a few atomics; it never waits and never locks. What changes who gets work, a probe, an ejection or an
//! operator, builds a new picker and publishes it.

mod back_off;
mod client;
mod endpoint;
mod failure;
mod generation;
mod handover;
mod head_times;
mod health;
mod journal;
mod lease;
mod lineage;
#[doc(hidden)]
pub mod measuring;
mod outliers;
mod peer;
mod picker;
pub mod policy;
mod pool;
mod proxy_header;
mod queue;
mod record;
mod reserve;
mod retry_budget;
mod roster;
mod standing;
mod stats;
mod sticky;
mod succession;
mod tally;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod window;

pub(crate) use back_off::back_off;
pub(crate) use client::{
    Streamed, StreamedLimits, Unanswered, UrlClient, connection_fields, retry_after, send_streamed,
};
pub(crate) use endpoint::{Endpoint, State};
pub(crate) use failure::{
    Fault, fault_of, is_break, is_ended_politely, is_gone, is_our_own_fault, is_refused_stream,
};
pub(crate) use generation::PolicyFactory;
pub(crate) use handover::PoolState;
pub(crate) use health::{ProbeResult, Prober};
pub(crate) use journal::{Journal, PastTransition, Subject, Transition};
pub(crate) use lease::Lease;
pub(crate) use peer::{Identity, PeerTls, UnusableTls};
pub(crate) use picker::{Pick, is_among};
pub(crate) use pool::{Pool, PoolParts, Tried};
pub(crate) use proxy_header::begin_with_header;
pub(crate) use queue::QueueError;
pub(crate) use reserve::{Reserved, Terms, Unreserved, reserve};
pub(crate) use retry_budget::{BetweenAttempts, RetryPermit};
pub(crate) use standing::{Ejection, Health, LONGEST_ORDER};
pub(crate) use stats::UNRESERVED;
pub(crate) use tally::Uncounted;
