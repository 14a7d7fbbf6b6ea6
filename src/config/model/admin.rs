use std::num::NonZeroU32;
use std::path::PathBuf;

use crate::config::spec::{Anonymous, TokenScope};
use crate::types::{BindAddr, Cidr, Digest, HostPattern, TokenName};

/// How those who look after the process reach it over HTTP.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Where it accepts; Unix paths are relative to the working directory.
    pub binds: Vec<BindAddr>,
    /// Who may connect besides this machine.
    pub open_to: Vec<Cidr>,
    /// Names under which it may be asked for.
    pub hosts: Vec<HostPattern>,
    /// Connections at once.
    pub connections: NonZeroU32,
    /// When the process is ready.
    pub ready: Ready,
    /// Who may do what.
    pub tokens: Vec<Token>,
    /// What may be done without one.
    pub anonymous: Anonymous,
    /// Where changes are written; absolute or relative to the working directory.
    pub audit_log: Option<PathBuf>,
}

/// What is kept of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// Its name.
    pub name: TokenName,
    /// The digest of its bytes.
    pub digest: Digest,
    /// What it is good for.
    pub scope: TokenScope,
}

/// When the process is ready.
#[derive(Clone, Debug)]
pub struct Ready {
    /// The pools that have to serve whatever requests come, as indexes into
    /// [`Config::pools`](crate::config::Config::pools), in their order.
    pub pools: Vec<usize>,
    /// Whether those have to as well that a split sends requests to at the moment.
    pub asks_splits: bool,
    /// So many endpoints of each have to be fit.
    pub min_fit: NonZeroU32,
}
