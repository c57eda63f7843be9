//! The kinds of methods, and what a call of each says and hears.

use clap::ValueEnum;

/// A kind of method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// One message, one answer
    Unary,
    /// One message, many answers
    ServerStream,
    /// Many messages, one answer
    ClientStream,
    /// Each message when the one before has come back
    BothWays,
}

impl Kind {
    /// The method of `isolation upstream` that does so.
    pub(crate) fn path(self, is_echo: bool) -> &'static str {
        match self {
            Self::Unary if is_echo => "/bench.Bench/Echo",
            Self::Unary | Self::ServerStream | Self::ClientStream => "/bench.Bench/Answer",
            Self::BothWays => "/bench.Bench/Mirror",
        }
    }

    /// How many messages of a stream of so many are sent.
    pub(crate) fn sent(self, messages: u32) -> u32 {
        match self {
            Self::Unary | Self::ServerStream => 1,
            Self::ClientStream | Self::BothWays => messages,
        }
    }

    /// How many are to come.
    pub(crate) fn expected(self, messages: u32) -> u32 {
        match self {
            Self::Unary | Self::ClientStream => 1,
            Self::ServerStream | Self::BothWays => messages,
        }
    }
}
