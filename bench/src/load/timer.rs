//! A timer that is exact to some microseconds: tokio's is to a millisecond, which is longer than most calls take.

use std::io;

use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::AsyncReadExt as _;
use tokio::net::unix::pipe::Receiver;
use tokio::task::yield_now;
use tokio::time::Instant;

/// The kernel's timer, which is read like a pipe.
pub(crate) struct Timer(Receiver);

impl Timer {
    pub(crate) fn new() -> io::Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let fd = timerfd_create(TimerfdClockId::Monotonic, flags)?;
        Ok(Self(Receiver::from_owned_fd_unchecked(fd)?))
    }

    /// Returns when the time has come; at once, but after all others who are ready, if it already has.
    pub(crate) async fn until(&mut self, due: Instant) -> io::Result<()> {
        let left = due.saturating_duration_since(Instant::now());
        if left.is_zero() {
            yield_now().await;
            return Ok(());
        }
        let once = Timespec { tv_sec: 0, tv_nsec: 0 };
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let at = Itimerspec { it_interval: once, it_value: left };
        timerfd_settime(&self.0, TimerfdTimerFlags::empty(), &at)?;
        // How often it has gone off.
        self.0.read_u64().await.map(drop)
    }
}
