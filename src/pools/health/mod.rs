//! Active health checks: probes by Pingora's own `HealthCheck` types, run by one background service.

mod check;
mod prober;
mod streak;

pub(crate) use prober::Prober;
