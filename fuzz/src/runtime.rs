//! Where asynchronous code runs.

use tokio::runtime::Builder;

/// Runs `future` on one thread and a clock of its own, which stands still while anything can move and
/// then leaps to the next timer: the same input always does the same, and no deadline takes time.
/// What is left running ends with it.
pub fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(future)
}
