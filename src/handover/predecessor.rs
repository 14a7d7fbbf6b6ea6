use std::time::Duration;

use super::connection::Connection;
use super::error::HandoverError;
use super::message::Message;
use super::successor::{End, heard_to_the_end, tell};

/// The old process, as the new one sees it while that finishes its work.
#[derive(Debug)]
pub(crate) struct Predecessor {
    connection: Connection,
    limit: Duration,
    is_done: bool,
}

impl Predecessor {
    pub(super) fn new(connection: Connection, limit: Duration) -> Self {
        Self { connection, limit, is_done: false }
    }

    /// Tells the old process that this one serves.
    ///
    /// # Errors
    /// When the old process has ended, or is stuck.
    pub(crate) async fn serving(&mut self) -> Result<(), HandoverError> {
        tell(&mut self.connection, &Message::Serving, self.limit).await
    }

    /// Resolves when the old process has ended, or is about to. It may be dropped and asked for again.
    pub(crate) async fn gone(&mut self) -> End {
        let how = heard_to_the_end(&mut self.connection, &Message::Done, &mut self.is_done).await;
        if self.is_done { End::Regular } else { End::Died(how.to_string()) }
    }

    /// Tells the old process that this one was asked to end, while that still finishes its work.
    ///
    /// # Errors
    /// When the old process has ended, or is stuck.
    pub(crate) async fn leave(mut self) -> Result<(), HandoverError> {
        tell(&mut self.connection, &Message::Leaving, self.limit).await
    }
}
