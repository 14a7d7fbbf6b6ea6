use std::thread;

use crate::support::Outcome;

/// Has each of `clients` work on a thread of its own, and adds up what they did.
///
/// # Errors
/// That of one which failed, when all have ended.
pub(crate) fn sum<C: Sync>(clients: &[C], work: impl Fn(&C) -> Result<u64, String> + Sync) -> Outcome<u64> {
    let work = &work;
    let counts = thread::scope(|scope| -> Result<Vec<u64>, String> {
        let threads: Vec<_> = clients.iter().map(|client| scope.spawn(move || work(client))).collect();
        let joined = threads.into_iter().map(|thread| thread.join().map_err(|_| "a client panicked")?);
        joined.collect()
    })?;
    Ok(counts.iter().sum())
}
