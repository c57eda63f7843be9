//! The two ends of a session.

/// Which end this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Opens lanes.
    Hub,
    /// Accepts so many at once.
    Agent {
        /// More are answered with [`super::ResetCode::TooMany`].
        max_lanes: usize,
    },
}
