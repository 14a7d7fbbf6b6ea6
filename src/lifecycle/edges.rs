use std::fmt;
use std::io;
use std::sync::Arc;

use futures::future::join;

use crate::config::spec::DrainSpec;
use crate::edge::{Address, BindError, Edge, HandedOver, Inherited, Lent, Prepared};
use crate::runtime::Snapshot;
use crate::types::BindAddr;

/// Whatever a process accepts on: its listeners, and beside them the one of those who look after it.
#[derive(Clone)]
pub(crate) struct Edges {
    pub(crate) traffic: Arc<Edge>,
    pub(crate) admin: Arc<Edge>,
}

/// What both are to accept on.
pub(super) struct PreparedEdges {
    traffic: Prepared,
    admin: Prepared,
}

impl Edges {
    /// Binds what a configuration needs, or nothing.
    ///
    /// # Errors
    /// When an address cannot be listened on.
    pub(super) fn prepare(
        &self,
        snapshot: &Snapshot,
        inherited: &mut Inherited,
    ) -> Result<PreparedEdges, BindError> {
        let admin = snapshot.admin.as_ref().map(|admin| admin.listener.clone());
        Ok(PreparedEdges {
            traffic: self.traffic.prepare(&snapshot.listeners, inherited)?,
            admin: self.admin.prepare(admin.as_slice(), inherited)?,
        })
    }

    pub(super) fn adopt(&self, prepared: PreparedEdges, times: DrainSpec) {
        self.traffic.adopt(prepared.traffic, times);
        self.admin.adopt(prepared.admin, times);
    }

    pub(super) fn hold(&self) {
        self.both().for_each(Edge::hold);
    }

    pub(super) async fn give_way(&self) {
        join(self.traffic.give_way(), self.admin.give_way()).await;
    }

    pub(super) async fn resume(&self) {
        join(self.traffic.resume(), self.admin.resume()).await;
    }

    /// All sockets, for another process.
    ///
    /// # Errors
    /// When no further descriptors can be opened.
    pub(super) fn sockets(&self) -> io::Result<Vec<HandedOver<Lent>>> {
        let mut sockets = self.traffic.sockets()?;
        sockets.extend(self.admin.sockets()?);
        Ok(sockets)
    }

    pub(super) fn close(&self, addresses: &[Address]) {
        self.both().for_each(|edge| edge.close(addresses));
    }

    pub(super) fn let_go(&self) {
        self.both().for_each(Edge::let_go);
    }

    pub(super) fn clear_away(&self) {
        self.both().for_each(Edge::clear_away);
    }

    /// Where those who look after the process really reach it.
    pub(crate) fn admin_addresses(&self) -> Vec<BindAddr> {
        self.admin.addresses().into_iter().map(|(_, address)| address).collect()
    }

    fn both(&self) -> impl Iterator<Item = &Edge> {
        [&*self.traffic, &*self.admin].into_iter()
    }
}

impl fmt::Debug for Edges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Edges").field("addresses", &self.traffic.addresses()).finish_non_exhaustive()
    }
}
