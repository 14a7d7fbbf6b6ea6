//! What changes hands, in the forms of those who have it and of those who carry it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::edge::{Address, HandedOver, Kind};
use crate::handover::{Attachment, Given, SocketEntry, SocketKind, State, Taken};
use crate::runtime::{Heritage, Parcel};
use crate::types::{BindAddr, ListenerName};

/// All sockets of a process.
#[derive(Debug)]
pub(super) struct Sockets<S = OwnedFd> {
    pub(super) listening: Vec<HandedOver<S>>,
    /// With the path of its file.
    pub(super) control: Option<(PathBuf, OwnedFd)>,
}

impl<S: AsFd> Sockets<S> {
    /// One after the other, as they are given away.
    pub(super) fn given(&self) -> Vec<Given<'_>> {
        let listening = self.listening.iter().flat_map(|one| {
            let sockets = given(one, kind_of(one.kind), &one.sockets);
            sockets.chain(given(one, SocketKind::Channel, &one.channels))
        });
        let control = self.control.iter().map(|(path, socket)| Given {
            entry: SocketEntry {
                kind: SocketKind::Control,
                listener: None,
                address: path.display().to_string(),
                ordinal: 0,
                is_own: true,
            },
            socket: socket.as_fd(),
        });
        listening.chain(control).collect()
    }
}

impl Sockets {
    /// The same again. What a later version gives besides is passed over, and so is what this one could not name.
    pub(super) fn taken(taken: Vec<Taken>) -> Self {
        let mut sockets = Self { listening: Vec::new(), control: None };
        for Taken { entry, socket } in taken {
            match entry.kind {
                SocketKind::Control => sockets.control = Some((entry.address.into(), socket)),
                SocketKind::Connections => sockets.add(Kind::Connections, &entry, socket),
                SocketKind::Datagrams => sockets.add(Kind::Datagrams, &entry, socket),
                SocketKind::Admin => sockets.add(Kind::Admin, &entry, socket),
                SocketKind::Channel => sockets.add_channel(&entry, socket),
                SocketKind::Other => {}
            }
        }
        sockets
    }

    /// Those of one address follow each other.
    fn add(&mut self, kind: Kind, entry: &SocketEntry, socket: OwnedFd) {
        let name = entry.listener.as_ref().and_then(|name| name.parse::<ListenerName>().ok());
        let (Some(listener), Ok(address)) = (name, entry.address.parse::<BindAddr>()) else { return };
        match self.listening.last_mut() {
            Some(last)
                if entry.ordinal > 0
                    && last.kind == kind
                    && last.listener == listener
                    && last.address == address =>
            {
                last.sockets.push(socket);
            }
            _ => {
                let (is_own, sockets, channels) = (entry.is_own, vec![socket], Vec::new());
                self.listening.push(HandedOver { kind, address, listener, is_own, sockets, channels });
            }
        }
    }

    /// They follow the sockets that they belong to.
    fn add_channel(&mut self, entry: &SocketEntry, end: OwnedFd) {
        if let Some(last) = self.listening.last_mut()
            && entry.address == last.address.to_string()
        {
            last.channels.push(end);
        }
    }
}

fn given<'s, S>(
    one: &'s HandedOver<S>,
    kind: SocketKind,
    sockets: &'s [impl AsFd],
) -> impl Iterator<Item = Given<'s>> {
    let numbered = (0..).zip(sockets);
    numbered.map(move |(ordinal, socket)| Given { entry: entry(one, kind, ordinal), socket: socket.as_fd() })
}

fn entry<S>(one: &HandedOver<S>, kind: SocketKind, ordinal: u32) -> SocketEntry {
    SocketEntry {
        kind,
        listener: Some(one.listener.to_string()),
        address: one.address.to_string(),
        ordinal,
        is_own: one.is_own,
    }
}

fn kind_of(kind: Kind) -> SocketKind {
    match kind {
        Kind::Connections => SocketKind::Connections,
        Kind::Datagrams => SocketKind::Datagrams,
        Kind::Admin => SocketKind::Admin,
    }
}

/// What a process has no use for, as it is told.
pub(super) fn told(unclaimed: &[Address], leaves_control: bool) -> Vec<SocketEntry> {
    let entry = |one: &Address| SocketEntry {
        kind: kind_of(one.kind),
        listener: Some(one.listener.to_string()),
        address: one.address.to_string(),
        ordinal: 0,
        is_own: false,
    };
    let control = leaves_control.then(|| SocketEntry {
        kind: SocketKind::Control,
        listener: None,
        address: String::new(),
        ordinal: 0,
        is_own: true,
    });
    unclaimed.iter().map(entry).chain(control).collect()
}

/// The same again, as far as it can be understood.
pub(super) fn heard(unclaimed: Vec<SocketEntry>) -> Vec<Address> {
    let address = |entry: SocketEntry| {
        let kind = match entry.kind {
            SocketKind::Connections => Kind::Connections,
            SocketKind::Datagrams => Kind::Datagrams,
            SocketKind::Admin => Kind::Admin,
            _ => return None,
        };
        let (listener, address) = (entry.listener?.parse().ok()?, entry.address.parse().ok()?);
        Some(Address { kind, listener, address })
    };
    unclaimed.into_iter().filter_map(address).collect()
}

/// What is known, as it is carried.
pub(super) fn packed(heritage: Heritage) -> State {
    let (document, parcels) = heritage.pack();
    let attachment =
        |mut parcel: Parcel| Attachment { name: parcel.name, bytes: std::mem::take(&mut *parcel.bytes) };
    State { document, attachments: parcels.into_iter().map(attachment).collect() }
}

/// The same again.
pub(super) fn unpacked(state: State) -> Result<Heritage, serde_json::Error> {
    let parcel = |Attachment { name, bytes }| Parcel { name, bytes: Zeroizing::new(bytes) };
    Heritage::unpack(&state.document, state.attachments.into_iter().map(parcel).collect())
}
