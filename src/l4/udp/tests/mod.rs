mod drain;
mod replies;
mod simulation;
mod sockets;
mod support;
mod trains;
