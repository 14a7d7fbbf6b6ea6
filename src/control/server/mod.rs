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
use tokio::time::{Instant, sleep, timeout};

use crate::net::Transport;
use crate::runtime::{AdminService, Control, Ending, Stage, Via, Waiting};

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

/// How a client speaks: requests of HTTP begin with the capital letters of their method, and lines of the protocol with a brace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speech {
    Http,
    Lines,
    /// It has said nothing.
    None,
}

/// Connections at once; further ones are told so and closed.
pub(crate) const MOST_CONNECTIONS: usize = 16;
/// How long a request may take to come, and a reply to be taken.
const LINE_LIMIT: Duration = Duration::from_secs(5);
/// The same for one that is to be turned away.
const TURNING_AWAY: Duration = Duration::from_secs(1);
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
    let (mut connections, mut turned_away) = (JoinSet::new(), JoinSet::new());
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
            Some(_) = turned_away.join_next() => {}
            accepted = socket.accept(), if answers => match accepted {
                Ok((stream, _)) if connections.len() < MOST_CONNECTIONS => {
                    connections.spawn(answer(stream, answering.clone(), ending.clone()));
                }
                Ok((stream, _)) if turned_away.len() < MOST_CONNECTIONS => {
                    turned_away.spawn(turn_away(stream));
                }
                // In such a crowd nobody is told anything.
                Ok((stream, _)) => drop(stream),
                Err(error) => {
                    log::warn!("a control connection cannot be accepted error={error}");
                    sleep(REST).await;
                }
            },
        }
    }
}

/// Serves a client in the way that it speaks.
async fn answer(stream: UnixStream, Answering { control, admin }: Answering, ending: Ending) {
    let transport = Transport::Unix(stream);
    let speech = speech_of(&transport, LINE_LIMIT).await;
    let Transport::Unix(stream) = transport else { return };
    match speech {
        Speech::Http => {
            if let Ok(uid) = admitted(&stream, &control) {
                // Only those come here who may do everything, so that nobody has to make room.
                let waiting = Arc::new(Waiting::new(Instant::now()));
                admin.serve(Transport::Unix(stream), Via::ControlSocket { uid }, ending, waiting).await;
            }
        }
        Speech::Lines => Connection::new(stream).serve(control).await,
        Speech::None => {
            // Whoever is gone needs no answer.
            let _ = Connection::new(stream).tell(&Reply::Error(Failure::TooLate.to_string())).await;
        }
    }
}

/// Tells a client for whom there is no place so, in the way that it speaks. What is told fits into a new connection's buffer, so
/// that nothing of it is waited for.
async fn turn_away(stream: UnixStream) {
    let transport = Transport::Unix(stream);
    let speech = speech_of(&transport, TURNING_AWAY).await;
    let Transport::Unix(stream) = transport else { return };
    let why = format!("{MOST_CONNECTIONS} others ask this process already");
    let told = match speech {
        Speech::Http => no_place(&why),
        Speech::Lines | Speech::None => Reply::Error(why).to_line(),
    };
    // Whoever is gone needs no answer.
    let _ = stream.into_std().and_then(|mut stream| stream.write(&told));
}

/// How a client speaks that has begun in time.
async fn speech_of(transport: &Transport, limit: Duration) -> Speech {
    let mut first = [0];
    match timeout(limit, transport.peek(&mut first)).await {
        Err(_) => Speech::None,
        Ok(_) if first[0].is_ascii_uppercase() => Speech::Http,
        Ok(_) => Speech::Lines,
    }
}

/// The answer to a request of HTTP for which there is no place.
fn no_place(why: &str) -> Vec<u8> {
    let body = format!("{{\"error\":\"{why}\",\"help\":\"try again when one of them has ended\"}}\n");
    let head = "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n\
                Retry-After: 1\r\nConnection: close\r\nContent-Length: ";
    format!("{head}{}\r\n\r\n{body}", body.len()).into_bytes()
}
