use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::Ticket;
use super::block_file::Writer;

/// An answer that is written while it comes. Dropped before its end, nothing is left of it.
#[derive(Debug)]
pub(in crate::cache) struct LongFill {
    pieces: mpsc::Sender<Step>,
}

#[derive(Debug)]
enum Step {
    Piece(Bytes),
    /// All has come: what is known of the answer now, and who wants to know when it can be found.
    End(Vec<u8>, oneshot::Sender<()>),
}

type IsDue = Arc<dyn Fn() -> bool + Send + Sync>;

/// So many pieces wait to be written.
const PIECES: usize = 16;
/// The same in KiB, about.
const ROOM: u32 = 1024;
/// So long a piece waits for the disk; an answer that waits longer is given to its client, and not stored.
const PIECE_PATIENCE: Duration = Duration::from_secs(1);
const END_PATIENCE: Duration = Duration::from_secs(2);

impl LongFill {
    /// Begins with what is known of the answer, and of its length; `None` when too much is being written, or there is no room
    /// for it.
    pub(in crate::cache) async fn begin(
        ticket: Ticket,
        answer: Vec<u8>,
        promised: Option<usize>,
        is_due: impl Fn() -> bool + Send + Sync + 'static,
    ) -> Option<Self> {
        let room = ticket.disk.room.clone().try_acquire_many_owned(ROOM).ok()?;
        let (pieces, steps) = mpsc::channel(PIECES);
        let (begun, is_begun) = oneshot::channel();
        tokio::spawn(async move {
            let _room = room;
            let ticket = Arc::new(ticket);
            let (workers, beginning) = (ticket.disk.workers.clone(), ticket.clone());
            let writer = workers.run(move || beginning.begin(answer, promised)).await??;
            // Whoever does not wait any more has let go of its end of the pieces.
            let _ = begun.send(());
            write(ticket, writer, steps, Arc::new(is_due)).await
        });
        timeout(PIECE_PATIENCE, is_begun).await.ok()?.ok().map(|()| Self { pieces })
    }

    /// Whether it goes on.
    pub(in crate::cache) async fn write(&self, piece: Bytes) -> bool {
        self.pieces.send_timeout(Step::Piece(piece), PIECE_PATIENCE).await.is_ok()
    }

    /// Has it kept, and returns when it can be found.
    pub(in crate::cache) async fn finish(self, answer: Vec<u8>) {
        let (kept, is_kept) = oneshot::channel();
        let finish = async {
            if self.pieces.send(Step::End(answer, kept)).await.is_ok() {
                // Where it fails, that has been told.
                let _ = is_kept.await;
            }
        };
        // What takes longer goes on by itself.
        let _ = timeout(END_PATIENCE, finish).await;
    }
}

async fn write(
    ticket: Arc<Ticket>,
    mut writer: Writer,
    mut steps: mpsc::Receiver<Step>,
    is_due: IsDue,
) -> Option<()> {
    let workers = ticket.disk.workers.clone();
    loop {
        let mut next = Vec::with_capacity(PIECES);
        steps.recv_many(&mut next, PIECES).await;
        let (ticket, is_due) = (ticket.clone(), is_due.clone());
        // Without a step before its end, nobody wants it any more.
        let step = move || {
            if next.is_empty() { ticket.abandon(writer, Ok(())) } else { ticket.go_on(writer, next, &is_due) }
        };
        writer = workers.run(step).await??;
    }
}

impl Ticket {
    fn begin(&self, answer: Vec<u8>, promised: Option<usize>) -> io::Result<Option<Writer>> {
        let Some(shelf) = self.shelf.upgrade() else { return Ok(None) };
        shelf.noting_room(Writer::begin(&shelf.folder, self.header(answer), promised))
    }

    /// Writes what has come; `None` when that was all.
    fn go_on(&self, mut writer: Writer, steps: Vec<Step>, is_due: &IsDue) -> io::Result<Option<Writer>> {
        for step in steps {
            match step {
                Step::Piece(piece) => {
                    if let Err(error) = writer.write(&piece) {
                        return self.abandon(writer, Err(error));
                    }
                }
                Step::End(answer, kept) => {
                    if let Some(shelf) = self.shelf.upgrade() {
                        shelf.noting_room(shelf.publish(writer, self.publication(answer, &**is_due)))?;
                    }
                    // Whoever waited may have left.
                    let _ = kept.send(());
                    return Ok(None);
                }
            }
        }
        Ok(Some(writer))
    }

    /// Removes what was written. A process that has taken the folder over has done so already.
    fn abandon(&self, writer: Writer, result: io::Result<()>) -> io::Result<Option<Writer>> {
        let Some(shelf) = self.shelf.upgrade() else { return Ok(None) };
        shelf.folder.discard(&writer.into_draft())?;
        shelf.noting_room(result).map(|()| None)
    }
}
