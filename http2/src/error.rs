//! What can be wrong, and the code that says so on the wire.

use std::fmt;

/// An error code (RFC 9113 7). Any number may come; those that have a name are constants.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Reason(pub u32);

impl Reason {
    /// Nothing is wrong.
    pub const NO_ERROR: Self = Self(0);
    /// The peer breaks the protocol in a way that has no code of its own.
    pub const PROTOCOL_ERROR: Self = Self(1);
    /// The sender itself has failed.
    pub const INTERNAL_ERROR: Self = Self(2);
    /// The peer has sent more than a window allowed, or made a window too large.
    pub const FLOW_CONTROL_ERROR: Self = Self(3);
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: Self = Self(4);
    /// A frame came for a stream that the peer had ended.
    pub const STREAM_CLOSED: Self = Self(5);
    /// A frame has a length that its type forbids.
    pub const FRAME_SIZE_ERROR: Self = Self(6);
    /// The call was not looked at: it may be tried again.
    pub const REFUSED_STREAM: Self = Self(7);
    /// Nobody wants the stream any more.
    pub const CANCEL: Self = Self(8);
    /// A header block cannot be decoded.
    pub const COMPRESSION_ERROR: Self = Self(9);
    /// The connection that a CONNECT made has failed.
    pub const CONNECT_ERROR: Self = Self(10);
    /// The peer does too much of something.
    pub const ENHANCE_YOUR_CALM: Self = Self(11);
    /// The transport is not safe enough.
    pub const INADEQUATE_SECURITY: Self = Self(12);
    /// HTTP/1.1 is to be used instead.
    pub const HTTP_1_1_REQUIRED: Self = Self(13);

    /// Its name in RFC 9113, if it has one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        NAMES.get(self.0 as usize).copied()
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "code {:#x}", self.0),
        }
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The peer has broken the protocol, and the connection must end (RFC 9113 5.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {why}")]
pub struct ConnectionError {
    /// What GOAWAY says.
    pub reason: Reason,
    /// In words, for a log.
    pub why: &'static str,
}

impl ConnectionError {
    /// With this code, in these words.
    #[must_use]
    pub const fn new(reason: Reason, why: &'static str) -> Self {
        Self { reason, why }
    }

    /// PROTOCOL_ERROR, in these words.
    #[must_use]
    pub const fn protocol(why: &'static str) -> Self {
        Self::new(Reason::PROTOCOL_ERROR, why)
    }
}
