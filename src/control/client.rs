use std::convert::Infallible;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::connect::connect;
use super::protocol::{Command, InvalidLine, Reply};

/// Why there is no answer, or none to be glad of.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    #[error(
        "nobody answers on {}: {source}\n  help: name the socket of a process that runs with `--socket PATH`, \
         or its configuration with `-c FILE`",
        path.display()
    )]
    Nobody { path: PathBuf, source: io::Error },
    #[error(
        "this user may not ask on {}\n  help: only root and the user who runs the process may",
        path.display()
    )]
    Forbidden { path: PathBuf },
    #[error("the process behind the socket does not answer; it may be stuck")]
    Silent,
    #[error("the process ended before it had answered")]
    Ended,
    #[error("the answer cannot be read: {0}")]
    Broken(#[from] io::Error),
    #[error("the answer is {0}\n  help: use the `evener` that the process was started with")]
    Invalid(#[from] InvalidLine),
    /// The process says why not.
    #[error("{0}")]
    Refused(String),
}

/// How long the next line of an answer may take.
const LINE_LIMIT: Duration = Duration::from_secs(5);
/// Larger answers are surely none: ten thousand endpoints take about 10 MiB.
const MOST_BYTES: u64 = 64 << 20;

/// Asks the process behind the socket and returns its last reply; `progress` is told of those before it.
///
/// # Errors
/// When nobody answers, or the answer is that nothing was done.
pub(crate) fn ask(
    path: &Path,
    command: &Command,
    mut progress: impl FnMut(Reply),
) -> Result<Reply, ClientError> {
    let goes_on = |reply| {
        progress(reply);
        ControlFlow::<Infallible>::Continue(())
    };
    match ask_until(path, command, goes_on)? {
        ControlFlow::Continue(reply) => Ok(reply),
        ControlFlow::Break(never) => match never {},
    }
}

/// The same where `progress` may break off; the process is told nothing more then.
///
/// # Errors
/// When nobody answers, or the answer is that nothing was done.
pub(crate) fn ask_until<B>(
    path: &Path,
    command: &Command,
    mut progress: impl FnMut(Reply) -> ControlFlow<B>,
) -> Result<ControlFlow<B, Reply>, ClientError> {
    let mut stream = connect(path).map_err(|source| unreached(path, source))?;
    stream.set_read_timeout(Some(LINE_LIMIT))?;
    stream.set_write_timeout(Some(LINE_LIMIT))?;
    // A process that takes no more requests answers without reading this one; what else may be wrong shows below.
    let _ = stream.write_all(&command.to_line());
    let mut stream = BufReader::new(stream);
    loop {
        match read_reply(&mut stream) {
            Ok(Reply::Error(reason)) => return Err(ClientError::Refused(reason)),
            Ok(reply) if !reply.is_last() => {
                if let ControlFlow::Break(reason) = progress(reply) {
                    return Ok(ControlFlow::Break(reason));
                }
            }
            last => return last.map(ControlFlow::Continue),
        }
    }
}

fn read_reply(stream: &mut impl BufRead) -> Result<Reply, ClientError> {
    let mut line = Vec::new();
    match stream.take(MOST_BYTES).read_until(b'\n', &mut line) {
        Ok(_) if line.ends_with(b"\n") => Ok(Reply::from_line(&line)?),
        Ok(_) if line.len() as u64 == MOST_BYTES => {
            Err(io::Error::new(io::ErrorKind::InvalidData, "it is larger than 64MiB").into())
        }
        Ok(_) => Err(ClientError::Ended),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(ClientError::Silent),
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Err(ClientError::Ended),
        Err(error) => Err(error.into()),
    }
}

fn unreached(path: &Path, source: io::Error) -> ClientError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::PermissionDenied => ClientError::Forbidden { path },
        io::ErrorKind::WouldBlock => ClientError::Silent,
        _ => ClientError::Nobody { path, source },
    }
}
