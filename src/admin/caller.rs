use crate::runtime::Via;

/// Who asks, and what they may; an extension of every request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The name of their token, `uid 0` on the control socket, or `anonymous`.
    pub(crate) name: String,
    pub(crate) scope: Scope,
    pub(crate) via: Via,
}

/// What somebody may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Scope {
    /// Look at everything.
    Read,
    /// Change it, too.
    Operate,
}

impl Caller {
    /// Whoever has come this way and shown nothing. The control socket lets nobody in who may not do everything.
    pub(super) fn of(via: Via) -> Self {
        let (name, scope) = match via {
            Via::Listener(_) => ("anonymous".to_owned(), Scope::Read),
            Via::ControlSocket { uid } => (format!("uid {uid}"), Scope::Operate),
        };
        Self { name, scope, via }
    }
}
