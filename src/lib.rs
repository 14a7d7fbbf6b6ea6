//! Evener: a programmable edge proxy and load balancer on Pingora.
//!
//! One address in front of a fleet: it balances each request over the better of two endpoints, sees which
//! endpoints are fit, and can be extended in Rust. This crate is the `evener` command as a library; a program of
//! your own adds [`hooks`] and gets everything else, command line included:
//!
//! ```no_run
//! use evener::app::App;
//!
//! fn main() -> std::process::ExitCode {
//!     evener::cli::main(&App::builder()) // .filter("name", build) and .policy("name", build) come here
//! }
//! ```

#![cfg_attr(not(test), warn(clippy::print_stdout, clippy::print_stderr))]

mod admin;
pub mod app;
mod audit;
mod cache;
pub mod cli;
pub mod config;
mod control;
mod edge;
mod files;
pub mod filters;
#[cfg(fuzzing)]
pub mod fuzzing;
mod gateway;
mod handover;
pub mod hooks;
mod l4;
mod lifecycle;
mod metrics;
mod net;
pub mod pools;
pub mod router;
mod runtime;
mod semantics;
mod simulate;
mod split;
mod stores;
mod telemetry;
mod tls;
mod top;
mod tracing;
pub mod types;
