mod drain;
mod replies;
mod serve_temp;
mod simulation;
mod sockets;
mod support;
mod trains;
