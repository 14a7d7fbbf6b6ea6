use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use parking_lot::Mutex;
use rustix::io::retry_on_intr;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};

/// The pipes that bulk goes through: lent while bytes are under way, so that few pipes serve many connections.
#[derive(Debug)]
pub(crate) struct Pipes {
    /// Pipes that exist at once; each is two descriptors.
    most: usize,
    stock: Mutex<Stock>,
}

#[derive(Debug, Default)]
struct Stock {
    resting: Vec<Arc<Pipe>>,
    open: usize,
}

#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

/// A pipe, lent; its drop returns it. One that still holds bytes is closed instead.
#[derive(Debug)]
pub(super) struct Lent {
    pipe: Arc<Pipe>,
    filled: usize,
    home: Arc<Pipes>,
}

impl Pipes {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, stock: Mutex::default() })
    }

    /// `None` when all are lent, or the system gives no more.
    pub(super) fn lend(self: &Arc<Self>) -> Option<Lent> {
        let resting = {
            let mut stock = self.stock.lock();
            let resting = stock.resting.pop();
            if resting.is_none() {
                if stock.open >= self.most {
                    return None;
                }
                stock.open += 1;
            }
            resting
        };
        let pipe = match resting {
            Some(pipe) => pipe,
            None => match Pipe::open() {
                Ok(pipe) => Arc::new(pipe),
                Err(_) => {
                    self.stock.lock().open -= 1;
                    return None;
                }
            },
        };
        Some(Lent { pipe, filled: 0, home: self.clone() })
    }
}

#[cfg(test)]
impl Pipes {
    pub(super) fn open(&self) -> usize {
        self.stock.lock().open
    }

    pub(super) fn lent(&self) -> usize {
        let stock = self.stock.lock();
        stock.open - stock.resting.len()
    }
}

impl Pipe {
    fn open() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        // The system bounds what one user's pipes hold together; beyond that, smaller ones may still be had.
        fcntl_setpipe_size(&write, SIZE).or_else(|_| fcntl_setpipe_size(&write, SMALLER_SIZE))?;
        Ok(Self { read, write })
    }
}

impl Lent {
    pub(super) fn filled(&self) -> usize {
        self.filled
    }

    /// Moves what a socket has received into the pipe, which must be empty; how much, zero at the end of the stream.
    pub(super) fn fill(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let moved = retry_on_intr(|| splice(&socket, None, &self.pipe.write, None, AT_ONCE, FLAGS))?;
        self.filled += moved;
        Ok(moved)
    }

    /// Moves what the pipe holds, which must be something, into a socket; how much, never zero.
    pub(super) fn drain(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let moved = retry_on_intr(|| splice(&self.pipe.read, None, &socket, None, self.filled, FLAGS))?;
        if moved == 0 {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.filled -= moved;
        Ok(moved)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        let mut stock = self.home.stock.lock();
        if self.filled == 0 {
            stock.resting.push(self.pipe.clone());
        } else {
            stock.open -= 1;
        }
    }
}

const FLAGS: SpliceFlags = SpliceFlags::MOVE.union(SpliceFlags::NONBLOCK);

/// A quarter of it costs a third more processor time per byte, a sixteenth two thirds.
const SIZE: usize = 1024 * 1024;

const SMALLER_SIZE: usize = SIZE / 4;

/// Bounds what a pipe holds; its size alone only bounds in how many pieces that came.
const AT_ONCE: usize = SIZE;
