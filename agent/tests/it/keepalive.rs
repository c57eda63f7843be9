//! How often an agent pings: as it was told, or as its hub advises.

use tunnel::wire::HUB_KEEPALIVE_INTERVAL;

use crate::support::fake_hub::FakeHub;
use crate::support::programs::Agent;

/// By default, so many would take longer than a test waits.
const PINGS: usize = 4;

#[tokio::test]
async fn as_it_was_told() {
    let hub = FakeHub::start().await;
    let _agent = Agent::start("testserver", &hub.uri(), &["--keepalive-interval", "100ms"]);
    // Its own wish counts.
    let mut session = hub.session_with(&[(HUB_KEEPALIVE_INTERVAL, "3600000")]).await;
    assert_eq!(session.headers[HUB_KEEPALIVE_INTERVAL], "100");
    session.pinged(PINGS).await;
}

#[tokio::test]
async fn as_its_hub_advises() {
    let hub = FakeHub::start().await;
    let _agent = Agent::start("testserver", &hub.uri(), &[]);
    let mut session = hub.session_with(&[(HUB_KEEPALIVE_INTERVAL, "100")]).await;
    assert!(!session.headers.contains_key(HUB_KEEPALIVE_INTERVAL));
    session.pinged(PINGS).await;
}
