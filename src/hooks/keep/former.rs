use std::collections::VecDeque;

use tokio::time::Instant;

use super::{Key, Scope, State};

/// States that came back to nobody yet: those of configurations that are served no more, the oldest first.
#[derive(Clone, Default)]
pub(super) struct Former(VecDeque<Left>);

#[derive(Clone)]
pub(super) struct Left {
    pub(super) scope: Scope,
    pub(super) name: Box<str>,
    pub(super) what: LeftState,
}

#[derive(Clone)]
pub(super) enum LeftState {
    Here(State),
    /// What another process has exported at that time.
    Handed {
        bytes: Vec<u8>,
        at: Instant,
    },
}

/// So many are remembered: a few for each route that ever had one, in the ten configurations to which a way leads back.
const MOST: usize = 1024;

impl Former {
    pub(super) fn find(&self, scope: &Scope, name: &str) -> Option<&LeftState> {
        let is_wanted = |left: &&Left| left.scope == *scope && *left.name == *name;
        self.0.iter().find(is_wanted).map(|left| &left.what)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Left> {
        self.0.iter()
    }

    /// Forgets those that are kept again.
    pub(super) fn retain(&mut self, is_wanted: impl Fn(&Left) -> bool) {
        self.0.retain(is_wanted);
    }

    pub(super) fn push(&mut self, left: Left) {
        self.0.push_back(left);
        if self.0.len() > MOST {
            self.0.pop_front();
        }
    }
}

impl Left {
    pub(super) fn here(key: &Key, state: &State) -> Self {
        let Key { scope, name, .. } = key.clone();
        Self { scope, name, what: LeftState::Here(state.clone()) }
    }
}
