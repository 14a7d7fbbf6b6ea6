//! For tests and benches of hooks: exchanges and fleets made by hand, without a network and without a clock.

mod exchange;
mod fleet;
mod generations;

pub use exchange::{Exchange, build, build_among};
pub use fleet::Fleet;
pub use generations::Generations;
