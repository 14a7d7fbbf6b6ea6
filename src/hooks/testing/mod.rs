//! For tests and benches of hooks: exchanges and fleets made by hand, without a network and without a clock.

mod exchange;
mod fleet;
mod generations;
mod pool_client;

pub use exchange::{Exchange, build, build_among};
pub use fleet::Fleet;
pub use generations::Generations;
pub use pool_client::{build_with_clients, job_cx, pool_client};
