use std::io;

use rustix::io::Errno;

/// Whether something failed for want of something on this machine: descriptors, ports, memory. It says nothing of whoever
/// it was meant for.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    const OURS: [Errno; 6] =
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM, Errno::ADDRNOTAVAIL, Errno::ADDRINUSE];
    error.raw_os_error().is_some_and(|code| OURS.iter().any(|ours| ours.raw_os_error() == code))
}
