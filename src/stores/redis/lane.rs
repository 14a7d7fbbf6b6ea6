use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BytesMut};
use parking_lot::Mutex;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, interval, sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::types::{Random, Rarely, RedisAddr, jittered};

use super::resp::{read_reply, write_command};
use super::{RedisSettings, Reply, StoreError};

/// One connection, which a task of its own holds: it writes what has gathered in one go, and hands out the replies in
/// the order of the commands. Who no longer waits for a reply has it thrown away.
#[derive(Debug)]
pub(super) struct Lane {
    settings: Arc<RedisSettings>,
    /// `None` before the first command.
    commands: Mutex<Option<mpsc::Sender<Command>>>,
}

#[derive(Debug)]
struct Command {
    bytes: BytesMut,
    reply: oneshot::Sender<Reply>,
}

/// Somebody who waits for a reply, and since when.
struct Asker {
    reply: oneshot::Sender<Reply>,
    since: Instant,
}

/// How it ended.
enum End {
    /// Nobody can ask any more.
    Unused,
    Lost(io::Error),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

/// So many commands wait to be written, and so many for their replies.
const MOST_COMMANDS: usize = 4096;
/// So many are written in one go.
const MOST_AT_ONCE: usize = 256;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
/// A connection that owes a reply for longer is given up.
const DEAD_AFTER: Duration = Duration::from_secs(1);
/// From a connection that is lost to the next attempt: at first, and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

impl Lane {
    pub(super) fn new(settings: Arc<RedisSettings>) -> Self {
        Self { settings, commands: Mutex::new(None) }
    }

    /// The reply to a command. Waits without a limit of its own.
    pub(super) async fn ask(&self, bytes: BytesMut) -> Result<Reply, StoreError> {
        let (reply, answered) = oneshot::channel();
        self.send(Command { bytes, reply })?;
        answered.await.map_err(|_| StoreError::Lost)
    }

    fn send(&self, command: Command) -> Result<(), StoreError> {
        let mut commands = self.commands.lock();
        let mut unsent = command;
        if let Some(open) = &*commands {
            match open.try_send(unsent) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(_)) => return Err(StoreError::Full),
                // The task has ended with the runtime of whoever asked first.
                Err(TrySendError::Closed(command)) => unsent = command,
            }
        }
        let (sender, receiver) = mpsc::channel(MOST_COMMANDS);
        tokio::spawn(keep_connected(self.settings.clone(), receiver));
        sender.try_send(unsent).map_err(|_| StoreError::Full)?;
        *commands = Some(sender);
        Ok(())
    }
}

/// Connects, serves, and connects again, until nobody can ask any more.
async fn keep_connected(settings: Arc<RedisSettings>, mut commands: mpsc::Receiver<Command>) {
    let mut pause = PAUSES.0;
    let mut random = Random::new();
    let told = Rarely::default();
    loop {
        let error = match timeout(CONNECT_TIMEOUT, connect(&settings)).await {
            Ok(Ok(stream)) => {
                pause = PAUSES.0;
                match serve(stream, &mut commands).await {
                    End::Unused => return,
                    End::Lost(error) => error,
                }
            }
            Ok(Err(error)) => error,
            Err(_) => io::ErrorKind::TimedOut.into(),
        };
        if told.may_tell(Instant::now()) {
            log::warn!("no connection to a store store={} error={error}", settings.name);
        }
        if !refuse_for(jittered(pause, &mut random), &mut commands).await {
            return;
        }
        pause = (pause * 2).min(PAUSES.1);
    }
}

/// Lets nobody wait who asks in that time. Returns whether somebody still can.
async fn refuse_for(pause: Duration, commands: &mut mpsc::Receiver<Command>) -> bool {
    let pause = sleep(pause);
    tokio::pin!(pause);
    loop {
        tokio::select! {
            () = &mut pause => return true,
            command = commands.recv() => if command.is_none() { return false },
        }
    }
}

/// A connection that is ready for commands.
async fn connect(settings: &RedisSettings) -> io::Result<Box<dyn Stream>> {
    let mut hello = BytesMut::new();
    let mut replies = 0;
    if let Some(password) = &settings.password {
        let user = settings.user.as_deref().map(str::as_bytes);
        let parts: Vec<&[u8]> = [&b"AUTH"[..]].into_iter().chain(user).chain([&**password]).collect();
        write_command(&parts, &mut hello);
        replies += 1;
    }
    let mut stream: Box<dyn Stream> = match &settings.address {
        RedisAddr::Unix(path) => Box::new(UnixStream::connect(path).await?),
        RedisAddr::Tcp { host, port, database, .. } => {
            let stream = TcpStream::connect((&**host, *port)).await?;
            stream.set_nodelay(true)?;
            if *database != 0 {
                write_command(&[b"SELECT", database.to_string().as_bytes()], &mut hello);
                replies += 1;
            }
            match &settings.tls {
                None => Box::new(stream),
                Some(tls) => {
                    let name = ServerName::try_from(host.clone()).map_err(io::Error::other)?;
                    Box::new(TlsConnector::from(tls.client.clone()).connect(name, stream).await?)
                }
            }
        }
    };
    stream.write_all(&hello).await?;
    stream.flush().await?;
    let mut input = BytesMut::new();
    while replies > 0 {
        match read_reply(&input).map_err(io::Error::other)? {
            Some((Reply::Error(error), _)) => return Err(io::Error::other(String::from(error))),
            Some((_, length)) => {
                input.advance(length);
                replies -= 1;
            }
            None if stream.read_buf(&mut input).await? == 0 => {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            None => {}
        }
    }
    Ok(stream)
}

/// Writes commands and hands out replies for as long as the connection lasts.
async fn serve(stream: Box<dyn Stream>, commands: &mut mpsc::Receiver<Command>) -> End {
    let (mut reader, mut writer) = split(stream);
    let (mut input, mut output) = (BytesMut::new(), BytesMut::new());
    let mut askers: VecDeque<Asker> = VecDeque::new();
    let mut batch = Vec::with_capacity(MOST_AT_ONCE);
    let mut look = interval(DEAD_AFTER / 4);
    // TLS keeps what the socket does not take at once.
    let mut is_flushed = true;
    loop {
        let has_room = output.is_empty() && askers.len() < MOST_COMMANDS;
        let flushes = output.is_empty();
        let done = tokio::select! {
            count = commands.recv_many(&mut batch, MOST_AT_ONCE), if has_room => match count {
                0 => return End::Unused,
                _ => { take(&mut batch, &mut output, &mut askers); Ok(1) }
            },
            sent = send(&mut writer, &mut output), if !output.is_empty() || !is_flushed => {
                is_flushed = flushes;
                sent
            }
            read = reader.read_buf(&mut input) => match read {
                Ok(1..) => hand_out(&mut input, &mut askers).map(|()| 1),
                end => end,
            },
            now = look.tick() => match askers.front() {
                Some(asker) if now.saturating_duration_since(asker.since) > DEAD_AFTER => {
                    Err(io::ErrorKind::TimedOut.into())
                }
                _ => Ok(1),
            },
        };
        match done {
            Ok(0) => return End::Lost(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => {}
            Err(error) => return End::Lost(error),
        }
    }
}

/// Writes some of the output, or has all that was written go out.
async fn send(writer: &mut (impl AsyncWrite + Unpin), output: &mut BytesMut) -> io::Result<usize> {
    if output.is_empty() { writer.flush().await.map(|()| 1) } else { writer.write_buf(output).await }
}

/// Those commands whose askers have not given up yet.
fn take(batch: &mut Vec<Command>, output: &mut BytesMut, askers: &mut VecDeque<Asker>) {
    let since = Instant::now();
    for Command { bytes, reply } in batch.drain(..).filter(|command| !command.reply.is_closed()) {
        output.extend_from_slice(&bytes);
        askers.push_back(Asker { reply, since });
    }
}

fn hand_out(input: &mut BytesMut, askers: &mut VecDeque<Asker>) -> io::Result<()> {
    while let Some((reply, length)) = read_reply(input).map_err(io::Error::other)? {
        input.advance(length);
        let asker = askers.pop_front().ok_or_else(|| io::Error::other("it told what nobody asked for"))?;
        // It may have given up.
        let _ = asker.reply.send(reply);
    }
    Ok(())
}
