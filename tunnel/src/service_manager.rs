//! What a program tells the service manager that has started it (`sd_notify(3)`); nothing, where there is none.

use std::time::Duration;

use sd_notify::NotifyState;
use tracing::warn;

/// The program does what it is for.
pub fn ready() {
    tell(&[NotifyState::Ready]);
}

/// It reads its files anew, until it is [`ready`] again.
pub fn reloading() {
    // Without the time, systemd 253 and newer fail the service.
    match NotifyState::monotonic_usec_now() {
        Ok(now) => tell(&[NotifyState::Reloading, now]),
        Err(error) => warn!(%error, "the service manager was not told of a reload"),
    }
}

/// It takes leave.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// It makes progress.
pub fn alive() {
    tell(&[NotifyState::Watchdog]);
}

/// How often the service manager wants to hear that it does, at least; never, where it does not ask.
#[must_use]
pub fn watchdog() -> Option<Duration> {
    sd_notify::watchdog_enabled()
}

fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        warn!(%error, "the service manager was not told");
    }
}
