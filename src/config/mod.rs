//! From a YAML text to a [`Config`]: the first half of the way to a running configuration.
//!
//! ```text
//! text ──serde, checked leaves──▶ spec ──names resolved, defaults──▶ Config ──runtime::assemble──▶ Snapshot
//! ```
//!
//! Every step collects all its problems as [`Diagnostic`]s with file, line, column and key; a text with any is
//! refused as a whole. This module knows neither Pingora nor tokio: it can check a file anywhere.

mod control_place;
mod diagnostic;
mod diff;
mod document;
mod edit;
mod fault;
mod include;
mod key_path;
mod load;
mod model;
mod node;
mod node_deserializer;
mod origin;
mod places;
mod recover;
mod redacted;
mod reference;
mod refusal;
mod resolve;
mod secrecy;
mod secret_keys;
mod source;
pub mod spec;
mod syntax;

pub(crate) use control_place::control_place_in;
use diagnostic::Place;
pub use diagnostic::{Diagnostic, Diagnostics, Position, Severity};
pub use diff::{Change, ChangeKind, Detail, Diff, Outline, diff};
pub(crate) use diff::{diff_of_routes, show_details};
pub(crate) use edit::{Edited, WeightEdit, outline_with, place_of_weight, write_weights};
pub use include::IncludedText;
pub(crate) use include::{Includes, is_blank};
pub use key_path::{KeyPath, Segment};
pub use load::{Loaded, load, load_text};
pub use model::{
    Action, Admin, BalanceUse, Canary, CertificateFiles, Check, ClientAuth, Collector, Config, ControlPlace,
    Endpoint, Files, FilterUse, Health, Http, Listener, ListenerTls, Pool, Ready, Route, Secret, Service,
    SniPools, Split, SplitBy, SplitPool, Sticky, Store, Tcp, Token, Tracing, Udp, UpstreamTls,
};
pub use origin::Origin;
pub use reference::{ReferenceSection, reference};
pub(crate) use secret_keys::SecretKeys;
#[cfg(test)]
pub(crate) use secret_keys::testing::text_with;
pub use source::Source;
pub(crate) use spec::read_secret;

#[cfg(test)]
mod tests;
