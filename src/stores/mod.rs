//! What several processes know together: clients of stores on the network, which have so long to answer and no longer.
//!
//! A store that is slow or gone costs those who ask it no more than that time, and after a few times nothing.

pub(crate) mod redis;

pub(crate) use redis::{Redis, RedisSettings, Reply, Script, StoreError, StoreTls};
