//! The proof that nothing is lost when the process changes: clients of every kind, all the time, while it does.
//!
//! What a configuration is changed to is made up by chance; `EVENER_SEED` has the same again.

mod clients;
mod endpoints;
mod faults;
mod measure;
mod quiet;
mod site;
mod soak;
mod tally;
mod variations;
