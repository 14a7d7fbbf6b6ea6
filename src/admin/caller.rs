use crate::config::Token;
use crate::config::spec::{Anonymous, TokenScope};
use crate::runtime::{Actor, Via};
use crate::types::TokenName;

/// Who asks, and what they may; an extension of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The name of their token, `uid 0` on the control socket, or `anonymous`.
    pub(crate) name: String,
    pub(crate) scope: Scope,
    pub(crate) via: Via,
    token: Option<TokenName>,
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// Learn whether the process is well.
    Health,
    /// Look at everything.
    Read,
    /// Change it, too.
    Operate,
}

impl Caller {
    /// Whoever has come this way and shown nothing. The control socket lets nobody in who may not do everything.
    pub(super) fn without_token(via: Via, anonymous: Anonymous) -> Self {
        let (name, scope) = match (via, anonymous) {
            (Via::ControlSocket { uid }, _) => (format!("uid {uid}"), Scope::Operate),
            (Via::Listener(_), Anonymous::Read) => ("anonymous".to_owned(), Scope::Read),
            (Via::Listener(_), Anonymous::Health) => ("anonymous".to_owned(), Scope::Health),
        };
        Self { name, scope, via, token: None }
    }

    pub(super) fn with_token(via: Via, token: &Token) -> Self {
        let scope = match token.scope {
            TokenScope::Read => Scope::Read,
            TokenScope::Operate => Scope::Operate,
        };
        Self { name: token.name.to_string(), scope, via, token: Some(token.name.clone()) }
    }

    /// Whether a token was shown, or none is needed.
    pub(super) fn is_known(&self) -> bool {
        self.token.is_some() || matches!(self.via, Via::ControlSocket { .. })
    }

    /// Who this is for the audit log.
    pub(super) fn actor(&self) -> Actor {
        match (self.via, &self.token) {
            (Via::ControlSocket { uid }, _) => Actor::user(uid),
            (Via::Listener(peer), Some(token)) => Actor::token(token, peer.address()),
            (Via::Listener(peer), None) => Actor::nobody(peer.address()),
        }
    }
}
