//! How long a process may take to end by itself.

use std::time::Duration;

use crate::limits::{FLUENTD_GRACE, FLUENTD_GRACE_MAX};

/// Time between asking a process to end and killing it: at most [`Grace::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grace(Duration);

/// Why a duration is no grace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraceError {
    /// It is negative, or no duration at all: see `google.protobuf.Duration`.
    #[error("grace must not be negative, and its nanos must be below 1,000,000,000")]
    Invalid,
    /// It is longer than [`Grace::MAX`].
    #[error("grace must be at most {:?}", Grace::MAX.0)]
    TooLong,
}

impl Grace {
    /// What a stop takes that asks for nothing else.
    pub const DEFAULT: Self = Self(FLUENTD_GRACE);

    /// The longest.
    pub const MAX: Self = Self(FLUENTD_GRACE_MAX);

    /// The time.
    #[must_use]
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl Default for Grace {
    fn default() -> Self {
        Self::DEFAULT
    }
}

impl TryFrom<Duration> for Grace {
    type Error = GraceError;

    fn try_from(duration: Duration) -> Result<Self, GraceError> {
        if duration > Self::MAX.0 {
            return Err(GraceError::TooLong);
        }
        Ok(Self(duration))
    }
}

impl TryFrom<prost_types::Duration> for Grace {
    type Error = GraceError;

    /// Does not go through the conversion of `prost_types`, which overflows on the least seconds.
    fn try_from(wire: prost_types::Duration) -> Result<Self, GraceError> {
        let seconds = u64::try_from(wire.seconds).map_err(|_| GraceError::Invalid)?;
        let nanos = u32::try_from(wire.nanos)
            .ok()
            .filter(|nanos| *nanos < 1_000_000_000)
            .ok_or(GraceError::Invalid)?;
        Self::try_from(Duration::new(seconds, nanos))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from_wire(seconds: i64, nanos: i32) -> Result<Duration, GraceError> {
        Grace::try_from(prost_types::Duration { seconds, nanos }).map(Grace::duration)
    }

    #[test]
    fn up_to_five_minutes() {
        assert_eq!(from_wire(0, 0), Ok(Duration::ZERO));
        assert_eq!(from_wire(1, 500_000_000), Ok(Duration::from_millis(1500)));
        assert_eq!(from_wire(300, 0), Ok(Duration::from_secs(300)));
        assert_eq!(from_wire(300, 1), Err(GraceError::TooLong));
        assert_eq!(from_wire(i64::MAX, 999_999_999), Err(GraceError::TooLong));
    }

    #[test]
    fn never_negative_or_malformed() {
        let hostile = [(-1, 0), (0, -1), (1, -1), (0, 1_000_000_000), (0, i32::MAX)];
        for (seconds, nanos) in hostile.into_iter().chain([(i64::MIN, i32::MIN)]) {
            let grace = from_wire(seconds, nanos);
            assert_eq!(grace, Err(GraceError::Invalid), "{seconds} {nanos}");
        }
    }
}
