//! Starts the programs and what they talk to.

pub(crate) mod auth;
pub(crate) mod binaries;
pub(crate) mod certs;
pub(crate) mod fake;
pub(crate) mod fake_hub;
pub(crate) mod grpc;
pub(crate) mod log;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod programs;
pub(crate) mod raw;
pub(crate) mod server;

use std::time::Duration;

/// Nothing takes this long on loopback, not even on a busy machine: whoever waits longer has hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits for what must happen, with that deadline.
#[track_caller]
pub(crate) fn soon<F: Future>(what: F) -> impl Future<Output = F::Output> {
    let caller = std::panic::Location::caller();
    async move {
        tokio::time::timeout(PATIENCE, what).await.unwrap_or_else(|_| panic!("hung at {caller}"))
    }
}
