use std::time::Duration;

use tokio::time::Instant;

use super::child::Child;
use super::connection::Connection;
use super::error::{Cause, Exit, HandoverError, Stage};
use super::limits::Deadline;
use super::message::Message;

/// The new process, as the old one sees it while it finishes its work.
#[derive(Debug)]
pub(crate) struct Successor {
    connection: Connection,
    child: Child,
    limit: Duration,
    is_leaving: bool,
}

/// How the other process has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// It has said so before.
    Regular,
    /// It has not, and this is what is known.
    Died(String),
}

impl Successor {
    pub(super) fn new(connection: Connection, child: Child, limit: Duration) -> Self {
        Self { connection, child, limit, is_leaving: false }
    }

    /// The id of the new process, until its end is known.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Resolves when the new process has ended, or was done with this one before. It may be dropped and asked for again.
    pub(crate) async fn gone(&mut self) -> End {
        let how = heard_to_the_end(&mut self.connection, &Message::Leaving, &mut self.is_leaving).await;
        let status = self.child.status().await;
        if self.is_leaving {
            return End::Regular;
        }
        End::Died(status.map_or_else(|| how.to_string(), |status| Exit(status).to_string()))
    }

    /// Tells the new process that this one has finished its work and ends now.
    ///
    /// # Errors
    /// When the new process has ended, or is stuck.
    pub(crate) async fn done(mut self) -> Result<(), HandoverError> {
        tell(&mut self.connection, &Message::Done, self.limit).await
    }
}

/// Reads until nothing more comes, and notes whether the last word of a regular end was among it.
pub(super) async fn heard_to_the_end(
    connection: &mut Connection,
    last: &Message,
    has_heard: &mut bool,
) -> Cause {
    loop {
        match connection.hear("the end").await {
            Ok(message) => *has_heard |= message == *last,
            Err(cause) => return cause,
        }
    }
}

/// Says the last word.
pub(super) async fn tell(
    connection: &mut Connection,
    last: &Message,
    limit: Duration,
) -> Result<(), HandoverError> {
    let deadline = Deadline::new(Instant::now(), limit, "that the last word is taken");
    deadline.keep(connection.say(last)).await.map_err(|cause| HandoverError { stage: Stage::Handed, cause })
}
