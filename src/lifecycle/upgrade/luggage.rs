//! What changes hands, in the forms of those who have it and of those who carry it.

use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use zeroize::Zeroizing;

use crate::edge::{HandedOver, Kind};
use crate::handover::{Attachment, Given, SocketEntry, SocketKind, State, Taken};
use crate::runtime::{Heritage, Parcel};
use crate::types::{BindAddr, ListenerName};

/// All sockets of a process.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    pub(super) listening: Vec<HandedOver>,
    /// With the path of its file.
    pub(super) control: Option<(PathBuf, OwnedFd)>,
}

impl Sockets {
    /// One after the other, as they are given away.
    pub(super) fn given(&self) -> Vec<Given<'_>> {
        let listening = self.listening.iter().flat_map(|one| {
            (0..)
                .zip(&one.sockets)
                .map(|(ordinal, socket)| Given { entry: entry(one, ordinal), socket: socket.as_fd() })
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

    /// The same again. What a later version gives besides is passed over, and so is what this one could not name.
    pub(super) fn taken(taken: Vec<Taken>) -> Self {
        let mut sockets = Self::default();
        for Taken { entry, socket } in taken {
            match entry.kind {
                SocketKind::Control => sockets.control = Some((entry.address.into(), socket)),
                SocketKind::Connections => sockets.add(Kind::Connections, &entry, socket),
                SocketKind::Datagrams => sockets.add(Kind::Datagrams, &entry, socket),
                SocketKind::Channel | SocketKind::Other => {}
            }
        }
        sockets
    }

    /// Those of one address follow each other.
    fn add(&mut self, kind: Kind, entry: &SocketEntry, socket: OwnedFd) {
        let name = entry.listener.as_ref().and_then(|name| name.parse::<ListenerName>().ok());
        let (Some(listener), Ok(address)) = (name, entry.address.parse::<BindAddr>()) else { return };
        match self.listening.last_mut() {
            Some(last) if entry.ordinal > 0 && last.listener == listener && last.address == address => {
                last.sockets.push(socket);
            }
            _ => {
                let is_own = entry.is_own;
                self.listening.push(HandedOver { kind, address, listener, is_own, sockets: vec![socket] });
            }
        }
    }
}

fn entry(handed_over: &HandedOver, ordinal: u32) -> SocketEntry {
    SocketEntry {
        kind: match handed_over.kind {
            Kind::Connections => SocketKind::Connections,
            Kind::Datagrams => SocketKind::Datagrams,
        },
        listener: Some(handed_over.listener.to_string()),
        address: handed_over.address.to_string(),
        ordinal,
        is_own: handed_over.is_own,
    }
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
