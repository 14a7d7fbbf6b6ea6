//! What is running: the immutable [`Snapshot`], how it is built from a `Config`, and how requests reach it.

mod answer;
mod assemble;
mod cause;
mod connection;
mod control;
mod explain;
mod listener;
mod live;
mod registry;
mod route;
mod routing;
mod secret_file;
mod snapshot;
mod status;
mod summary;
mod trust;

pub(crate) use answer::{ErrorBody, error_answer};
pub(crate) use assemble::{Assembled, assemble};
pub(crate) use cause::Cause;
pub(crate) use connection::{Connection, ip_value};
pub(crate) use control::{Control, ControlError, Drain, Target};
pub(crate) use explain::{Question, explain};
pub(crate) use listener::Listener;
pub(crate) use live::Live;
pub(crate) use registry::{Registered, Registry};
pub(crate) use route::{Action, Route};
pub(crate) use routing::find_route;
pub(crate) use secret_file::SecretFile;
pub(crate) use snapshot::Snapshot;
pub(crate) use status::{EndpointStatus, PoolStatus, Status};
pub(crate) use summary::summary;
pub(crate) use trust::{forwarded_client, is_refused_method, refusal};
