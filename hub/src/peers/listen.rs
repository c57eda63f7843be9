//! What happens at another hub, for whoever watches at this one.

use hub_proto::hub::peer::v1::ActivityRequest;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::ask::{HearError, client};
use crate::context::hub::Hub;
use crate::limits::{PEER_AGAIN, PEER_AGAIN_LATER, PEER_ANSWER, PEER_EVENT_BYTES};
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
                let error = ended.err();
                debug!(node, ?error, "another hub tells nothing of what happens now");
                let is_older = error.is_some_and(|error| error.is_unimplemented());
                sleep(if is_older { PEER_AGAIN_LATER } else { PEER_AGAIN }).await;
            }
        }
    }
}

async fn hear(Connected { peer, link, .. }: &Connected, hub: &Hub) -> Result<(), HearError> {
    let asked = async {
        let client = client(link).await?;
        let mut client = client.max_decoding_message_size(PEER_EVENT_BYTES);
        Ok::<_, HearError>(client.activity(ActivityRequest {}).await?.into_inner())
    };
    let mut events = timeout(PEER_ANSWER, asked).await.map_err(|_| HearError::Silent)??;
    while let Some(mut event) = events.message().await? {
        // What it says of itself is what this hub knows it by.
        event.hub = peer.node.to_string();
        let name = match event.name.as_str() {
            "" => None,
            name => match name.parse() {
                Ok(name) => Some(name),
                Err(_) => continue,
            },
        };
        hub.activity.publish_elsewhere(Elsewhere { name, event });
    }
    Ok(())
}
