//! HTTP caching as RFC 9111 has it, as functions of heads and times: nothing here knows how answers are stored or
//! transferred.

mod control;
mod freshness;
mod invalidation;
mod request;
mod status;
mod update;
mod vary;

pub(crate) use control::Control;
pub(crate) use freshness::{Judgement, Received, Refusal, judge};
pub(crate) use invalidation::{invalidates, targets};
pub(crate) use request::Wishes;
pub(crate) use status::{CacheStatus, Forwarded};
pub(crate) use update::{merge, strip_unstorable};
pub(crate) use vary::{VaryOf, normalised, vary_of};
