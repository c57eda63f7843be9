//! A second handle of a socket, while it is not known yet what speaks on it.

use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tunnel::sockets;

/// It counts against the files that are no connections, of which there are few: whoever does not say what he wants keeps one
/// as long as he may.
#[derive(Debug)]
pub(crate) struct SecondHandle {
    socket: OwnedFd,
    _place: OwnedSemaphorePermit,
}

impl SecondHandle {
    /// None, where there are too many already.
    pub(crate) fn of(tcp: &TcpStream, places: &Arc<Semaphore>) -> Option<Self> {
        let place = places.clone().try_acquire_owned().ok()?;
        let socket = tcp.as_fd().try_clone_to_owned().ok()?;
        Some(Self { socket, _place: place })
    }

    /// TCP asks for life from now on, if it can.
    pub(crate) fn ask_for_life(&self) {
        let _ = sockets::ask_for_life(&self.socket);
    }
}
