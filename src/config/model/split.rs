use crate::config::spec::{CanarySpec, KeySpec, SplitCookieSpec};
use crate::types::Weight;

/// Several pools, each with its share of a route's requests.
#[derive(Clone, Debug)]
pub struct Split {
    /// Two or more, each another pool, not all with the weight 0.
    pub to: Vec<SplitPool>,
    /// What keeps a client with its pool.
    pub by: SplitBy,
    /// Which of the pools grows by itself, if one does.
    pub canary: Option<Canary>,
}

/// A pool and its share.
#[derive(Clone, Debug)]
pub struct SplitPool {
    /// An index into [`Config::pools`](super::Config::pools).
    pub pool: usize,
    /// Its share relative to the others; 0 for nothing.
    pub weight: Weight,
}

/// What keeps a client with its pool.
#[derive(Clone, Debug)]
pub enum SplitBy {
    /// Nothing: each request goes to a pool by chance.
    Chance,
    /// A part of the request.
    Key(KeySpec),
    /// A cookie that the edge gives it.
    Cookie(SplitCookieSpec),
}

/// A pool whose share grows by itself.
#[derive(Clone, Debug)]
pub struct Canary {
    /// An index into [`Split::to`].
    pub side: usize,
    /// Whether it begins with the share of its weight, rather than with one step.
    pub begins_by_weight: bool,
    /// How it grows.
    pub spec: CanarySpec,
}
