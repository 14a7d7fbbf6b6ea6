mod change;
mod drain;
mod errors;
mod replies;
mod simulation;
mod sockets;
mod support;
mod trains;
