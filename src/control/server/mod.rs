//! Who answers on the control socket.

mod connection;
mod lasting;
mod peer;

use std::io::{self, Write};
use std::mem;
use std::os::unix::net::UnixListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::net::Transport;
use crate::runtime::{AdminService, Control, Ending, Stage, Via};

use super::bind::Door;
use super::protocol::Reply;

use connection::{Connection, Failure};
use peer::admitted;

/// Whoever answers on the socket.
#[derive(Clone)]
pub(crate) struct Answering {
    pub(crate) control: Arc<Control>,
    /// Those who speak HTTP.
    pub(crate) admin: Arc<dyn AdminService>,
}

/// Connections at once; further ones are told so and closed.
pub(crate) const MOST_CONNECTIONS: usize = 16;
/// How long a request may take to come, and a reply to be taken.
const LINE_LIMIT: Duration = Duration::from_secs(5);
/// The pause after a connection could not be accepted.
const REST: Duration = Duration::from_millis(100);

/// Answers on the socket until `shutdown` turns true, as long as the door is open.
///
/// # Errors
/// When the socket cannot be used at all.
pub(crate) async fn serve(
    socket: StdListener,
    answering: Answering,
    door: &Door,
    mut shutdown: watch::Receiver<bool>,
) -> io::Result<()> {
    let socket = UnixListener::from_std(socket)?;
    let mut connections = JoinSet::new();
    // A sender that is gone is the end, too.
    let stop = async { drop(shutdown.wait_for(|stopping| *stopping).await) };
    tokio::pin!(stop);
    let mut is_open = door.is_open();
    let mut ending = Ending::default();
    loop {
        let answers = *is_open.borrow_and_update();
        if !answers {
            // Those who rest are to come back to the process that answers now.
            mem::take(&mut ending).advance(Stage::Draining);
        }
        tokio::select! {
            () = &mut stop => return Ok(()),
            Ok(()) = is_open.changed() => {}
            Some(_) = connections.join_next() => {}
            accepted = socket.accept(), if answers => match accepted {
                Ok((stream, _)) if connections.len() < MOST_CONNECTIONS => {
                    connections.spawn(answer(stream, answering.clone(), ending.clone()));
                }
                Ok((stream, _)) => turn_away(stream),
                Err(error) => {
                    log::warn!("a control connection cannot be accepted error={error}");
                    sleep(REST).await;
                }
            },
        }
    }
}

/// Serves a client in the way that it speaks: requests of HTTP begin with the capital letters of their method, and lines of
/// the protocol with a brace.
async fn answer(stream: UnixStream, Answering { control, admin }: Answering, ending: Ending) {
    let transport = Transport::Unix(stream);
    let mut first = [0];
    let has_come = timeout(LINE_LIMIT, transport.peek(&mut first)).await.is_ok();
    let Transport::Unix(stream) = transport else { return };
    if first[0].is_ascii_uppercase() {
        if let Ok(uid) = admitted(&stream, &control) {
            admin.serve(Transport::Unix(stream), Via::ControlSocket { uid }, ending).await;
        }
        return;
    }
    let mut connection = Connection::new(stream);
    if has_come {
        connection.serve(control).await;
    } else {
        // Whoever is gone needs no answer.
        let _ = connection.tell(&Reply::Error(Failure::TooLate.to_string())).await;
    }
}

/// One line fits into a new connection's buffer, so nothing is waited for.
fn turn_away(stream: UnixStream) {
    let reply = Reply::Error(format!("{MOST_CONNECTIONS} others ask this process already"));
    // Whoever is gone needs no answer.
    let _ = stream.into_std().and_then(|mut stream| stream.write(&reply.to_line()));
}
