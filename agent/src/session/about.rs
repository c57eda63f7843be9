//! Which session, for the log and for whoever asks.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tracing::{error, info, warn};
use tunnel::dial::whole_millis;
use tunnel::wire::CloseCode;
use tunnel::ws::Ended;

use super::Over;
use crate::shared::Shared;
use tunnel::hub_uri::HubUri;

pub(super) struct About {
    pub(super) slot: u16,
    pub(super) session: String,
    pub(super) hub: HubUri,
    /// The hub's id.
    pub(super) node: String,
    pub(super) agent: Arc<Shared>,
    pub(super) began: Instant,
}

impl About {
    pub(super) fn log(&self, message: &'static str) {
        let name = self.agent.config.names();
        info!(%name, hub = %self.hub, slot = self.slot, session = self.session, "{message}");
    }

    /// What ended a session, and what to do where the hub cannot know that.
    fn explain(&self, ended: &Ended) -> String {
        match ended {
            Ended::ByPeer { code: CloseCode::NotHttp2, .. } => {
                format!("{ended}{}", self.agent.config.first.upstream.hint())
            }
            _ => ended.to_string(),
        }
    }

    /// Tells the log, and whoever asks why there is no session.
    pub(super) fn tell_end(&self, over: &Over) {
        let ended =
            over.ended.as_ref().map_or_else(|| "cut off".to_owned(), |ended| self.explain(ended));
        self.agent.standing.failed(format!("hub {}: disconnected: {ended}", self.hub));
        macro_rules! line {
            ($macro:ident, $message:literal) => {
                $macro!(
                    name = %self.agent.config.names(),
                    hub = %self.hub,
                    slot = self.slot,
                    session = self.session,
                    ended,
                    lived = ?whole_millis(over.lived),
                    $message
                )
            };
        }
        match &over.ended {
            Some(Ended::ByPeer { code: CloseCode::NotHttp2 | CloseCode::Policy, .. }) => {
                line!(error, "disconnected; this needs a change of configuration");
            }
            _ if self.agent.stop.is_cancelled() => line!(info, "disconnected"),
            Some(Ended::ByPeer { code: CloseCode::Normal | CloseCode::GoingAway, .. }) => {
                line!(info, "disconnected");
            }
            _ => line!(warn, "disconnected"),
        }
    }
}

/// At which age a session was lost that was to end for no reason of either end's: a connection that was cut, or that
/// somebody in between has closed.
pub(super) fn lost_at(over: &Over) -> Option<Duration> {
    match over.ended.as_ref()? {
        Ended::Lost
        | Ended::ByPeer {
            code: CloseCode::Normal | CloseCode::GoingAway | CloseCode::Other(_),
            ..
        } => Some(over.lived),
        // It was there for the last time about so long ago.
        Ended::Silent(silence) => Some(over.lived.saturating_sub(*silence)),
        _ => None,
    }
}
