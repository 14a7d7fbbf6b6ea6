//! Cached answers: the rules by which they are used ([`rules`]), where they are kept ([`memory`]), and how Pingora gets
//! at them ([`storage`]).

mod entry;
mod found;
mod key;
mod memory;
mod plan;
mod purge;
pub(crate) mod rules;
mod storage;
mod store;

pub(crate) use found::Found;
pub(crate) use key::Target;
pub(crate) use plan::Plan;
pub(crate) use purge::Purge;
pub(crate) use storage::{PREDICTOR, STORAGE, lock};
pub(crate) use store::{Cache, Caching, Store};
