//! Why an agent's server cannot be reached.

/// Why there is no lane.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OpenError {
    /// The upstream takes no connections.
    #[error("the upstream is not reachable: {0}")]
    Unreachable(String),
    /// The agent, or its upstream, takes no more lanes now.
    #[error("the agent takes no more connections to its upstream now")]
    Full,
    /// The upstream speaks something else.
    #[error("{}", tunnel::wire::NOT_HTTP2)]
    NotHttp2,
    /// The upstream says nothing.
    #[error("{}", tunnel::wire::SILENT)]
    Silent,
    /// The session is over.
    #[error("the session was lost")]
    Lost,
}

impl OpenError {
    /// The metrics' label.
    pub(crate) fn label(&self) -> &'static str {
        match self {
            Self::Unreachable(_) => "unreachable",
            Self::Full => "full",
            Self::NotHttp2 => "not-http2",
            Self::Silent => "silent",
            Self::Lost => "session-lost",
        }
    }
}
