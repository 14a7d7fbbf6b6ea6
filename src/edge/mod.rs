//! The edge itself: sockets, accept loops, connection limits, and what a client may do before a request exists.
//!
//! A connection's own task reads the header of each HTTP/1 request under one deadline and checks its framing
//! strictly ([`head`]); only then Pingora sees it, through an [`EdgeStream`](stream::EdgeStream) that hands over
//! this one request and not a byte of the next. Between requests nothing of a connection is kept but its socket.

mod accept;
mod accepting;
mod adopt;
mod answer_head;
mod bind;
mod body;
mod cut;
mod datagrams;
mod descriptors;
mod entry;
#[cfg(fuzzing)]
pub(crate) mod fuzzing;
mod head;
mod http1;
mod http2;
mod inherited;
mod last_chunk;
mod limits;
mod open;
mod prepared;
mod proxy_protocol;
mod refusal;
mod seats;
mod serve;
mod stream;
#[cfg(test)]
mod tests;

pub(crate) use bind::{BindError, Lent};
pub(crate) use descriptors::limit as descriptor_limit;
pub(crate) use inherited::{Address, HandedOver, InheritError, Inherited, Kind};
pub(crate) use open::Open;
pub(crate) use prepared::Prepared;
pub(crate) use serve::{Edge, EdgeLimits};
