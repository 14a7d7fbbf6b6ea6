use super::Assignment;

/// So much is said on a stream after it should make way for the next one.
const LINGER: u32 = 40;
/// So much is said on the streams of every other client.
const SHORT: u32 = 40;

/// A stream on which everything that is said comes back.
pub(super) trait Stream: Sized + Send {
    fn open(assignment: &Assignment) -> impl Future<Output = Result<Self, String>> + Send;

    /// Says something with this number, and hears it.
    fn exchange(&mut self, number: u64) -> impl Future<Output = Result<(), String>> + Send;

    /// Ends it, and sees that nothing comes that should not.
    fn end(self) -> impl Future<Output = Result<(), String>> + Send;
}

/// Streams one after the other. Those of every other client are short; the rest last until another process is there to
/// begin them anew, and some time longer.
pub(super) async fn run<S: Stream>(assignment: Assignment) {
    while assignment.goes_on() {
        if let Err(text) = one::<S>(&assignment).await {
            assignment.tally.failure(text);
            assignment.rest().await;
        }
    }
}

async fn one<S: Stream>(assignment: &Assignment) -> Result<(), String> {
    let generation = assignment.generation();
    let mut left = assignment.number.is_multiple_of(2).then_some(SHORT);
    let mut stream = S::open(assignment).await?;
    let mut number = 0;
    while assignment.goes_on() && left != Some(0) {
        number += 1;
        stream.exchange(number).await.map_err(|text| format!("exchange {number}: {text}"))?;
        assignment.tally.success();
        assignment.rest().await;
        if assignment.generation() != generation {
            left = left.or(Some(LINGER));
        }
        left = left.map(|left| left - 1);
    }
    stream.end().await.map_err(|text| format!("at the end: {text}"))
}

/// How long a message is, up to some 2 KiB.
pub(super) fn length(number: u64) -> usize {
    16 + usize::try_from(number * 37 % 2000).unwrap()
}
