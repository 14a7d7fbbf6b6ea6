//! Everything together: real sockets, real bytes, one process.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a test that cannot go on fails where it stands"
)]
#![expect(unreachable_pub, reason = "the harness is written like a library's interface")]

mod admin;
mod basics;
mod conf_examples;
mod config_errors;
mod documentation;
mod fleet;
mod hooks;
mod l4;
mod layers;
mod logging;
mod lossless;
mod policy;
mod process;
mod reload;
mod route_order;
mod support;
mod tls;
mod tracing;
mod wire;
