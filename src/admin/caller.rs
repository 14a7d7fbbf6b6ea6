use crate::config::Token;
use crate::config::spec::{Anonymous, TokenScope};
use crate::runtime::{Actor, Admin, Via};

/// Who asks, and what they may; an extension of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The name of their token, `uid 0` on the control socket, or `anonymous`.
    pub(crate) name: String,
    pub(crate) scope: Scope,
    pub(crate) via: Via,
    token: Option<Token>,
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
        let (name, scope) = match via {
            Via::ControlSocket { uid } => (format!("uid {uid}"), Scope::Operate),
            Via::Listener(_) => ("anonymous".to_owned(), anonymous.into()),
        };
        Self { name, scope, via, token: None }
    }

    pub(super) fn with_token(via: Via, token: &Token) -> Self {
        let (name, scope) = (token.name.to_string(), token.scope.into());
        Self { name, scope, via, token: Some(token.clone()) }
    }

    /// Whether they may still have what needs this, by another configuration than the one that let them in.
    pub(super) fn may_still(&self, needed: Scope, admin: Option<&Admin>) -> bool {
        match (self.via, &self.token) {
            (Via::ControlSocket { .. }, _) => true,
            (Via::Listener(_), None) => admin.is_some_and(|admin| Scope::from(admin.anonymous) >= needed),
            (Via::Listener(_), Some(token)) => admin
                .and_then(|admin| admin.token_with(&token.digest))
                .is_some_and(|token| Scope::from(token.scope) >= needed),
        }
    }

    /// Whether a token was shown, or none is needed.
    pub(super) fn is_known(&self) -> bool {
        self.token.is_some() || matches!(self.via, Via::ControlSocket { .. })
    }

    /// Who this is for the audit log.
    pub(super) fn actor(&self) -> Actor {
        match (self.via, &self.token) {
            (Via::ControlSocket { uid }, _) => Actor::user(uid),
            (Via::Listener(peer), Some(token)) => Actor::token(&token.name, peer.address()),
            (Via::Listener(peer), None) => Actor::nobody(peer.address()),
        }
    }
}

impl From<TokenScope> for Scope {
    fn from(scope: TokenScope) -> Self {
        match scope {
            TokenScope::Read => Self::Read,
            TokenScope::Operate => Self::Operate,
        }
    }
}

impl From<Anonymous> for Scope {
    fn from(anonymous: Anonymous) -> Self {
        match anonymous {
            Anonymous::Read => Self::Read,
            Anonymous::Health => Self::Health,
        }
    }
}
