//! The public extension points: what a user of the crate implements to bend Evener to a purpose of their own.
//!
//! | implement | to | registered with |
//! |---|---|---|
//! | [`Filter`] | look at, change, answer or refuse requests and responses on a route | [`AppBuilder::filter`] |
//! | [`Policy`] | choose the endpoint that serves a request | [`AppBuilder::policy`] |
//!
//! The built-in filters and policies are written on these same traits, so what they can do, a hook can do.
//!
//! A hook is registered under a name together with a function that builds it from **typed settings**: any type
//! that implements [`serde::Deserialize`]. The settings stand in the configuration file under that name and are
//! read with the same checks and the same diagnostics as everything else, at start, `check` and `explain` alike;
//! a hook that cannot be built refuses the whole configuration.
//!
//! One built hook serves all requests of its route, on all worker threads at once. State of one request goes
//! into [`FilterCx::extensions_mut`]; what outlives the configuration is had from [`BuildCx::keep`]. A hook that
//! panics fails its request with status 500 and nothing else.
//!
//! [`testing`] calls a filter as the edge would, without a network.
//!
//! [`AppBuilder::filter`]: crate::app::AppBuilder::filter
//! [`AppBuilder::policy`]: crate::app::AppBuilder::policy

mod body;
mod build;
mod credential;
mod cx;
mod end;
mod export;
mod fetch;
mod fetch_url;
mod filter;
mod flow;
mod job;
mod keep;
mod key;
mod load;
mod needs;
mod offload;
mod pick_notes;
mod policy;
mod response_head;
mod seed;
pub mod testing;
mod tls;
mod turns;
mod variables;
mod vars;
mod view;
mod watched;
mod way;

pub use body::{Body, BodySource};
pub use build::{BuildCx, BuildError, PoolRef};
pub use credential::Credential;
pub(crate) use cx::{Bounds, LONGEST_DELAY, Personal, Stored};
pub use cx::{Facts, FilterCx, HedgeAfter, Scheme};
pub use end::End;
pub use export::{Export, ImportError};
pub(crate) use fetch::{Fetch, Sender};
pub use fetch::{FetchError, FetchLimits, Fetched, Larger, PoolClient};
pub(crate) use fetch_url::{Authorities, FetchUrl};
pub use filter::Filter;
pub use flow::{Answer, Flow, HookError, Rejection};
pub use job::{Job, JobCx};
pub(crate) use keep::{Exported, Keeping, Kept, KeptStanding, Scope};
pub(crate) use key::NO_KEY;
pub use key::{InvalidKey, InvalidPartName, KeyParts, KeySpec, PartName};
pub(crate) use load::{Begun, Load, LoadState, PoolLoad};
pub use needs::Needs;
pub use offload::{Offload, Overloaded};
pub(crate) use pick_notes::{PickNotes, Picked, PickedBy, Sampled};
pub use policy::{Member, PickCx, Policy};
pub(crate) use response_head::{LazyHead, ResponseHead};
pub use seed::KeySeed;
pub use tls::{ClientCert, TlsSession};
pub(crate) use variables::Variables;
pub use vars::RequestVars;
pub(crate) use view::Incoming;
pub use view::{EarlyBody, RequestView, ResponseView};
pub use watched::{ReadFile, TakeFile, Watched};
pub(crate) use way::Way;
