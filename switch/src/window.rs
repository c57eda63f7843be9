//! Windows of HTTP/2's flow control.

/// The largest window there is (RFC 9113 6.9.1).
pub(crate) const WINDOW_MAX: i64 = (1 << 31) - 1;
/// The window of a stream whose receiver has said nothing (RFC 9113 6.9.2).
pub(crate) const WINDOW_FIRST: i64 = 65_535;

/// So much of a window is given back at once: half of a small one, an eighth of a large one. If it were half of that too,
/// half of it would be all that is on its way where it is given back once in a round trip.
pub(crate) fn worth_a_grant(window: i64) -> i64 {
    (window / 2).min(WINDOW_FIRST / 2).max(window / 8)
}
