//! What the benches have in common that load a running proxy to see what a unit of work costs it: connections from many
//! addresses, clients on threads, and processor time.

pub(crate) mod connect;
pub(crate) mod crowd;
pub(crate) mod usage;
