//! What happens at another hub, for whoever watches at this one.

use hub_proto::hub::peer::v1::ActivityRequest;
use tokio::time::sleep;
use tracing::debug;

use super::ask::{HearError, client};
use crate::context::hub::Hub;
use crate::limits::PEER_AGAIN;
use crate::observe::activity::Elsewhere;
use crate::registry::Connected;

/// Has those told who watch here, while there are any, for ever. Of several connections with the other hub, by one at a time.
pub(super) async fn listen(connected: &Connected, hub: &Hub) {
    let _one = connected.peer.listening.lock().await;
    let (mut begins, mut ends) = (hub.activity.curious(), hub.activity.curious());
    loop {
        // Its sender lives as long as the hub.
        let _ = begins.wait_for(|curious| *curious > 0).await;
        tokio::select! {
            () = async { drop(ends.wait_for(|curious| *curious == 0).await) } => {}
            ended = hear(connected, hub) => {
                let node = &*connected.peer.node;
                debug!(node, error = ?ended.err(), "another hub tells nothing of what happens now");
                sleep(PEER_AGAIN).await;
            }
        }
    }
}

async fn hear(Connected { link, .. }: &Connected, hub: &Hub) -> Result<(), HearError> {
    let mut events = client(link).await?.activity(ActivityRequest {}).await?.into_inner();
    while let Some(event) = events.message().await? {
        // Of what a newer hub may say of other things than names, nothing is known here.
        if let Ok(name) = event.name.parse() {
            hub.activity.publish_elsewhere(Elsewhere { name, event });
        }
    }
    Ok(())
}
