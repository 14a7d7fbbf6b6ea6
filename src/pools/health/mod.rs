//! Active health checks: one background service probes each endpoint at its own pace and tells its pool.
//!
//! What a probe is stands behind Pingora's `HealthCheck` trait. State, counters and history belong to one endpoint of
//! one pool, so that two pools that name the same address with different checks know nothing of each other.

mod check;
mod failure;
mod grpc;
mod history;
mod http;
mod http2;
mod prober;
mod streak;
mod tls;
mod udp;

pub(in crate::pools) use history::History;
pub(crate) use history::ProbeResult;
pub(crate) use prober::Prober;
pub(in crate::pools) use streak::Streak;
pub(in crate::pools) use tls::{client_config, roots_of_the_system};
