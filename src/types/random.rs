use std::cell::RefCell;

/// A source of random numbers for decisions that need spread, not secrecy (wyrand).
///
/// It is passed in wherever a decision is random, so that a test can seed it and get the same decisions again.
pub type Random = fastrand::Rng;

thread_local! {
    static PER_THREAD: RefCell<Random> = RefCell::new(Random::new());
}

/// Runs `decide` with this thread's generator. `decide` must not call this again.
pub(crate) fn with_random<T>(decide: impl FnOnce(&mut Random) -> T) -> T {
    PER_THREAD.with_borrow_mut(decide)
}
