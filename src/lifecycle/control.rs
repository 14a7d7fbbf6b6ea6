use std::os::unix::net::UnixListener;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use pingora_core::server::{ListenFds, ShutdownWatch};
use pingora_core::services::Service;

use crate::config::ControlPlace;
use crate::control::{self, Answering, BoundControl, CannotOpen, Door};
use crate::runtime::{AdminService, Control};

use super::upgrade::Takeover;

/// The control socket as far as there is one. Its file is removed when this is dropped.
#[derive(Debug)]
pub(crate) enum ControlSocket {
    /// Nobody wants one.
    Off,
    Open(BoundControl),
    /// There can be none at its place, which nobody chose.
    Without(CannotOpen),
}

impl ControlSocket {
    /// Opens it where the configuration says.
    ///
    /// # Errors
    /// When somebody chose the place and it cannot be there: whoever relies on it learns so at the start.
    pub(crate) fn open(place: Option<&ControlPlace>) -> Result<Self, CannotOpen> {
        let Some(place) = place else { return Ok(Self::Off) };
        match BoundControl::open(&place.path) {
            Ok(bound) => Ok(Self::Open(bound)),
            Err(error) if place.is_chosen => Err(error),
            Err(error) => Ok(Self::Without(error)),
        }
    }

    /// The same where another process leaves this one the socket at that place.
    ///
    /// # Errors
    /// As for [`open`](Self::open).
    pub(crate) fn take_over(
        place: Option<&ControlPlace>,
        takeover: &mut Takeover,
    ) -> Result<Self, CannotOpen> {
        let handed = place.and_then(|place| takeover.take_control(&place.path));
        match handed.map(|(path, socket)| BoundControl::adopt(&path, socket)) {
            Some(Ok(bound)) => Ok(Self::Open(bound)),
            // Its file is gone, or it is another place: there can be a new one.
            Some(Err(_)) | None => Self::open(place),
        }
    }

    pub(super) fn door(&self) -> Option<&Arc<Door>> {
        match self {
            Self::Open(bound) => Some(bound.door()),
            Self::Off | Self::Without(_) => None,
        }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        match self {
            Self::Open(bound) => Some(bound.path()),
            Self::Off | Self::Without(_) => None,
        }
    }

    /// The service that answers on it, if there is one. What was in the way of one is told.
    pub(super) fn service(
        &mut self,
        control: Arc<Control>,
        admin: Arc<dyn AdminService>,
    ) -> Option<ControlService> {
        match self {
            Self::Off => None,
            Self::Open(bound) => {
                let door = bound.door().clone();
                let answering = Answering { control, admin };
                Some(ControlService { socket: bound.take_socket(), door, answering })
            }
            Self::Without(error) => {
                log::warn!("commands such as status and reload do not reach this process: {error}");
                None
            }
        }
    }
}

/// What answers on the control socket, on a thread of its own, so that it does when the data plane is busy.
pub(super) struct ControlService {
    socket: Option<UnixListener>,
    door: Arc<Door>,
    answering: Answering,
}

#[async_trait]
impl Service for ControlService {
    async fn start_service(&mut self, _: Option<ListenFds>, shutdown: ShutdownWatch, _: usize) {
        let Some(socket) = self.socket.take() else { return };
        if let Err(error) = control::serve(socket, self.answering.clone(), &self.door, shutdown).await {
            log::error!("the control socket cannot be served error={error}");
        }
    }

    fn name(&self) -> &'static str {
        "control"
    }

    fn threads(&self) -> Option<usize> {
        Some(1)
    }

    /// The socket is bound before the server is, so Pingora holds none of it.
    fn listen_addresses(&self) -> Option<Vec<String>> {
        Some(Vec::new())
    }
}
