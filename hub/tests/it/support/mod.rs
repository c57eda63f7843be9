//! Hubs, agents, upstreams and clients that a test can hold in its hand.

pub(crate) mod admin;
pub(crate) mod agent;
pub(crate) mod auth_file;
pub(crate) mod balancer;
pub(crate) mod client;
pub(crate) mod cluster;
pub(crate) mod frames;
pub(crate) mod grpc;
pub(crate) mod hpack;
pub(crate) mod hub;
pub(crate) mod message;
pub(crate) mod pair;
pub(crate) mod peer;
pub(crate) mod raw_agent;
pub(crate) mod registrations;
pub(crate) mod secure;
pub(crate) mod service;
pub(crate) mod upstream;
pub(crate) mod world;

use std::time::Duration;

use tokio::time::timeout;

/// The name that most agents here register.
pub(crate) const NAME: &str = "testserver";

/// Nothing on loopback takes this long, on however busy a machine: whoever waits for more has hung.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Waits, but not for ever.
pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    let Ok(output) = timeout(PATIENCE, future).await else {
        panic!("not in time: {what}");
    };
    output
}

/// Asks again and again until the answer is yes: for what is seen only by asking.
pub(crate) async fn until(what: &str, mut ask: impl AsyncFnMut() -> bool) {
    let asked = async {
        while !ask().await {
            tokio::task::yield_now().await;
        }
    };
    within(what, asked).await;
}
