//! What ends a connection with an etcd, and what that leaves open.

use std::time::Duration;

use tonic::{Code, Status};
use tunnel::dial::TransportError;
use tunnel::limits::DIAL_TIMEOUT;

use crate::config::directory::PasswordError;

/// Why it is lost, or was never there.
#[derive(Debug, thiserror::Error)]
pub(in crate::directory) enum EtcdError {
    #[error("no answer within {}s", DIAL_TIMEOUT.as_secs())]
    Timeout,
    #[error(transparent)]
    Transport(#[from] TransportError),
    #[error(transparent)]
    Http2(#[from] tonic::transport::Error),
    #[error("{} ({:?})", .0.message(), .0.code())]
    Status(#[from] Status),
    #[error(transparent)]
    Password(#[from] PasswordError),
    #[error("it does not know this user: {} ({:?})", .0.message(), .0.code())]
    User(Status),
    #[error("{} ({:?}); no --directory-user-file says who this is", .0.message(), .0.code())]
    NoUser(Status),
    #[error("it has ended the connection: {0}")]
    Ended(String),
    #[error("it has given a token that cannot stand in metadata")]
    Token,
    #[error("the lease is gone")]
    LeaseGone,
    #[error("what this hub has written of itself is gone, or was written anew")]
    Superseded,
    #[error("a change has got no answer, and may come late: {0}")]
    Unclear(String),
    #[error("nothing was heard for {}s", .0.as_secs())]
    Silent(Duration),
    #[error("the watch was ended: {0}")]
    WatchEnded(String),
}

impl EtcdError {
    /// Whether nothing more can be written on this connection: it does not know any more who this is, or the hub's own key is
    /// not what it was.
    pub(in crate::directory) fn is_final(&self) -> bool {
        match self {
            Self::User(_)
            | Self::NoUser(_)
            | Self::Password(_)
            | Self::Token
            | Self::Unclear(_)
            | Self::Superseded => true,
            Self::Status(status) => is_of_user(status),
            _ => false,
        }
    }

    /// Whether a change that has failed so may have come to pass, or still may. etcd answers with other codes what it has
    /// decided, or has not let in.
    pub(super) fn leaves_unclear(&self) -> bool {
        match self {
            Self::Ended(_) => true,
            Self::Status(status) => !matches!(
                status.code(),
                Code::InvalidArgument
                    | Code::NotFound
                    | Code::PermissionDenied
                    | Code::Unauthenticated
                    | Code::ResourceExhausted
                    | Code::FailedPrecondition
            ),
            _ => false,
        }
    }
}

/// Whether it does not know who this is: tokens end, and with each change of users all of those that carry a number of it
/// (etcd 3.4's "simple" ones after five minutes without use, for which kept leases do not count).
pub(super) fn is_of_user(status: &Status) -> bool {
    status.code() == Code::Unauthenticated || status.message().contains("auth store is old")
}
