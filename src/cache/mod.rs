//! Cached answers: the rules by which they are used ([`rules`]), where they are kept, in memory ([`s3fifo`]) and in files
//! ([`disk`]), and how Pingora gets at them ([`storage`]).

mod disk;
mod entry;
mod found;
mod key;
mod plan;
mod purge;
mod purges;
mod refreshes;
mod removals;
mod results;
pub(crate) mod rules;
mod s3fifo;
mod storage;
mod store;

pub(crate) use disk::{Disk, DiskState, Trouble, Unreserved};
pub(crate) use found::Found;
pub(crate) use key::Target;
pub(crate) use plan::Plan;
pub(crate) use purge::{Purge, Purged};
pub(crate) use refreshes::Turn;
pub(crate) use results::CacheResult;
pub(crate) use storage::{PREDICTOR, STORAGE, lock};
pub(crate) use store::{Cache, Caching, Store, is_to_be_stored};
