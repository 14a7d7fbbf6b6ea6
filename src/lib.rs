//! Evener: a programmable edge proxy and load balancer on Pingora.

pub mod hooks;
pub mod types;
