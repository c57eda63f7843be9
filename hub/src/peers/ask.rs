//! Asking another hub what it tells.

use hub_proto::hub::peer::v1::peers_client::PeersClient;
use tonic::Code;
use tonic::transport::{Channel, Endpoint};
use tunnel::lanes::Open;
use tunnel::once::Once;

use crate::limits::{PEER_ANSWER, PEER_MESSAGE_BYTES, PEER_NAMES_MAX};
use crate::registry::Link;

/// Why nothing more is told.
#[derive(Debug, thiserror::Error)]
pub(super) enum HearError {
    #[error("the connection is over")]
    Over,
    #[error(transparent)]
    Transport(#[from] tonic::transport::Error),
    #[error("{} ({:?})", .0.message(), .0.code())]
    Status(#[from] tonic::Status),
    #[error("nothing was said for {}s", PEER_ANSWER.as_secs())]
    Silent,
    #[error("more than {PEER_NAMES_MAX} names")]
    TooMany,
}

impl HearError {
    /// Whether the other hub is too old to be asked.
    pub(super) fn is_unimplemented(&self) -> bool {
        matches!(self, Self::Status(status) if status.code() == Code::Unimplemented)
    }
}

/// A lane to what the other hub tells.
pub(super) async fn client(link: &Link) -> Result<PeersClient<Channel>, HearError> {
    let lane = link.tunnel.open(Open::default()).ok_or(HearError::Over)?;
    let channel = Endpoint::from_static("http://hub");
    let channel = channel.connect_with_connector(Once::new(lane)).await?;
    Ok(PeersClient::new(channel).max_decoding_message_size(PEER_MESSAGE_BYTES))
}
