//! How a call over a session can end, and what each ending means for both sides.

use h2::Reason;
use tracing::Level;

/// Every ending there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// The response was passed on whole.
    Complete,
    /// The client reset the stream, or its connection went away.
    ClientReset(Reason),
    /// The upstream reset the stream.
    AgentReset(Reason),
    /// The client sends more than the upstream takes.
    ClientFlood,
    /// The client ends its request with what a server would take for malformed.
    ClientMalformed,
    /// The upstream sends more than the hub is willing to hold.
    AgentFlood,
    /// The upstream said GOAWAY before it looked at the call: it may be tried again.
    Unprocessed,
    /// The session went away under the call.
    SessionLost,
}

impl End {
    /// What a failure on the agent's side means.
    pub(super) fn from_agent(error: &h2::Error) -> Self {
        let reason = error.reason().unwrap_or(Reason::INTERNAL_ERROR);
        // h2 says so of streams above the last one that the GOAWAY names, and of no others.
        if error.is_go_away() && error.is_remote() {
            Self::Unprocessed
        } else if error.is_reset() {
            Self::AgentReset(reason)
        } else {
            Self::SessionLost
        }
    }

    /// What a failure on the client's side means.
    pub(super) fn from_client(reset: Result<Reason, h2::Error>) -> Self {
        let reason = reset.or_else(|error| error.reason().ok_or(error));
        Self::ClientReset(reason.unwrap_or(Reason::CANCEL))
    }

    /// Whether nothing is left to be done on the agent's side: it has ended the stream itself, or was told
    /// to at once.
    pub(super) fn closes_agent_side(self) -> bool {
        !matches!(
            self,
            Self::Complete | Self::ClientReset(_) | Self::ClientFlood | Self::ClientMalformed
        )
    }

    /// The reset that the agent's side gets at once. A client's reset, whatever its code says of the
    /// client's connection, becomes CANCEL when its turn has come.
    pub(super) fn reset_to_agent(self) -> Option<Reason> {
        match self {
            Self::AgentFlood => Some(Reason::ENHANCE_YOUR_CALM),
            _ => None,
        }
    }

    /// The reset that the client's side gets. Those codes cross on which gRPC clients act; a NO_ERROR
    /// that cuts a response short is none.
    pub(super) fn reset_to_client(self) -> Option<Reason> {
        match self {
            Self::Complete | Self::ClientReset(_) => None,
            Self::Unprocessed => Some(Reason::REFUSED_STREAM),
            // Which gRPC clients take for RESOURCE_EXHAUSTED.
            Self::ClientFlood => Some(Reason::ENHANCE_YOUR_CALM),
            Self::ClientMalformed => Some(Reason::PROTOCOL_ERROR),
            Self::SessionLost | Self::AgentFlood => Some(Reason::INTERNAL_ERROR),
            Self::AgentReset(reason) => Some(match reason {
                Reason::REFUSED_STREAM
                | Reason::CANCEL
                | Reason::ENHANCE_YOUR_CALM
                | Reason::INADEQUATE_SECURITY
                | Reason::HTTP_1_1_REQUIRED => reason,
                _ => Reason::INTERNAL_ERROR,
            }),
        }
    }

    /// How loud the log is about it: what only the client brought about is its own affair.
    pub(crate) fn level(self) -> Level {
        match self {
            Self::Complete | Self::ClientReset(_) | Self::ClientFlood | Self::ClientMalformed => {
                Level::DEBUG
            }
            // There is a line of its limit, which is itself limited.
            Self::AgentFlood => Level::DEBUG,
            Self::AgentReset(_) | Self::Unprocessed => Level::INFO,
            Self::SessionLost => Level::WARN,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resets_cross_by_the_table() {
        for (end, to_agent, to_client) in [
            (End::Complete, None, None),
            (End::ClientReset(Reason::PROTOCOL_ERROR), None, None),
            (End::ClientReset(Reason::NO_ERROR), None, None),
            (End::AgentReset(Reason::CANCEL), None, Some(Reason::CANCEL)),
            (End::AgentReset(Reason::REFUSED_STREAM), None, Some(Reason::REFUSED_STREAM)),
            (End::AgentReset(Reason::ENHANCE_YOUR_CALM), None, Some(Reason::ENHANCE_YOUR_CALM)),
            (End::AgentReset(Reason::FLOW_CONTROL_ERROR), None, Some(Reason::INTERNAL_ERROR)),
            (End::AgentReset(Reason::NO_ERROR), None, Some(Reason::INTERNAL_ERROR)),
            (End::ClientFlood, None, Some(Reason::ENHANCE_YOUR_CALM)),
            (End::ClientMalformed, None, Some(Reason::PROTOCOL_ERROR)),
            (End::AgentFlood, Some(Reason::ENHANCE_YOUR_CALM), Some(Reason::INTERNAL_ERROR)),
            (End::Unprocessed, None, Some(Reason::REFUSED_STREAM)),
            (End::SessionLost, None, Some(Reason::INTERNAL_ERROR)),
        ] {
            assert_eq!(
                (end.reset_to_agent(), end.reset_to_client()),
                (to_agent, to_client),
                "{end:?}"
            );
        }
    }
}
