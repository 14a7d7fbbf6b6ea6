use std::io;
use std::sync::Arc;

use crate::runtime::Listener;
use crate::types::{BindAddr, ListenerName};

use super::accepting::{Accepting, Means};
use super::bind::{BindError, BoundSocket};
use super::descriptors;
use super::inherited::{Inherited, Kind, is_same};

/// Everything that the listeners of a configuration are to accept on: bound, but nobody is accepted yet. What was bound for
/// it is closed again when this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(super) listeners: Vec<Arc<Listener>>,
    /// In the order of the configuration.
    pub(super) places: Vec<Place>,
}

/// An address of a listener.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) listener: Arc<Listener>,
    pub(super) source: Source,
}

/// Where the sockets of an address come from.
#[derive(Debug)]
pub(super) enum Source {
    /// They are accepted on already, maybe for another listener.
    Open(Arc<Accepting>),
    /// They are, but what is accepted there is about to end.
    Closing(BoundSocket, Arc<Accepting>),
    /// Somebody else has bound them.
    Taken(BoundSocket),
    Bound(BoundSocket),
}

/// What there is to find sockets in.
pub(super) struct Stock<'a> {
    pub(super) open: Vec<Arc<Accepting>>,
    /// What is not accepted on any more, but still has to end.
    pub(super) closing: Vec<Arc<Accepting>>,
    pub(super) inherited: &'a mut Inherited,
    /// So many sockets get those who bind an address for datagrams.
    pub(super) threads: usize,
}

/// An address that a listener wants.
struct Wanted<'a> {
    listener: &'a Arc<Listener>,
    kind: Kind,
    address: &'a BindAddr,
    source: Option<Source>,
}

impl Prepared {
    /// Finds the sockets for all listeners, and binds what is not there. Those of the same name come first, so that two
    /// listeners with one address (port 0) keep theirs; an address that nobody of that name had is anybody's.
    pub(super) fn find(listeners: &[Arc<Listener>], mut stock: Stock<'_>) -> Result<Self, BindError> {
        let of = |listener| {
            let new = move |address| Wanted { listener, kind: Means::of(listener), address, source: None };
            listener.binds.iter().map(new)
        };
        let mut wanted: Vec<_> = listeners.iter().flat_map(of).collect();
        descriptors::check(wanted.iter().map(|one| one.kind), stock.threads)?;
        for find in [Stock::of_listener, Stock::at] {
            for one in wanted.iter_mut().filter(|one| one.source.is_none()) {
                one.source = find(&mut stock, one).map_err(|error| one.fail(error))?;
            }
        }
        let mut prepared = Self { listeners: listeners.to_vec(), places: Vec::with_capacity(wanted.len()) };
        for one in wanted {
            let source = match one.source {
                Some(source) => source,
                None => Source::Bound(
                    BoundSocket::bind(one.kind, one.address, stock.threads)
                        .map_err(|error| one.fail(error))?,
                ),
            };
            prepared.places.push(Place { listener: one.listener.clone(), source });
        }
        Ok(prepared)
    }

    /// Where the listeners will listen.
    #[cfg(test)]
    pub(super) fn addresses(&self) -> Vec<BindAddr> {
        let address = |place: &Place| match &place.source {
            Source::Open(accepting) => accepting.bound.address.clone(),
            Source::Closing(bound, _) | Source::Taken(bound) | Source::Bound(bound) => bound.address.clone(),
        };
        self.places.iter().map(address).collect()
    }
}

impl Drop for Prepared {
    fn drop(&mut self) {
        for place in &self.places {
            if let Source::Bound(BoundSocket { file: Some(file), .. }) = &place.source {
                file.remove();
            }
        }
    }
}

impl Wanted<'_> {
    fn fail(&self, error: io::Error) -> BindError {
        BindError::new(&self.listener.name, self.address, error)
    }

    fn is_at(&self, accepting: &Accepting) -> bool {
        let BoundSocket { kind, configured, .. } = &accepting.bound;
        *kind == self.kind && is_same(configured, self.address)
    }
}

impl Stock<'_> {
    fn of_listener(&mut self, wanted: &Wanted<'_>) -> io::Result<Option<Source>> {
        let name: &ListenerName = &wanted.listener.name;
        let is_its = |one: &Arc<Accepting>| wanted.is_at(one) && one.service().listener.name == *name;
        if let Some(found) = take(&mut self.open, is_its) {
            return Ok(Some(Source::Open(found)));
        }
        let inherited = self.inherited.of_listener(wanted.kind, wanted.address, name)?;
        Ok(inherited.map(Source::Taken))
    }

    fn at(&mut self, wanted: &Wanted<'_>) -> io::Result<Option<Source>> {
        if let Some(found) = take(&mut self.open, |one| wanted.is_at(one)) {
            return Ok(Some(Source::Open(found)));
        }
        if let Some(closing) = take(&mut self.closing, |one| wanted.is_at(one) && stands_in_the_way(one)) {
            return Ok(Some(Source::Closing(closing.bound.again(wanted.address), closing)));
        }
        Ok(self.inherited.at(wanted.kind, wanted.address)?.map(Source::Taken))
    }
}

/// Whether its address cannot be bound as long as this is not closed. The file of a Unix socket that ends is gone already.
fn stands_in_the_way(closing: &Accepting) -> bool {
    matches!(closing.bound.configured, BindAddr::Inet(inet) if inet.port() != 0)
}

fn take<T>(all: &mut Vec<T>, is_it: impl Fn(&T) -> bool) -> Option<T> {
    let place = all.iter().position(is_it)?;
    Some(all.remove(place))
}
