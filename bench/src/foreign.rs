//! Programs that are not ours: told where to listen, and ended with whoever asked for them.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Child;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::time::Instant;

use crate::role::wait_for_end_of_input;

/// How long one may take until it listens.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);

/// A port of loopback for a program that cannot say which one it got. Nobody else binds it before that program's
/// start, most likely.
///
/// # Errors
/// There is none.
pub fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Waits until connections to `address` are taken, for as long as the program there `runs`.
///
/// # Errors
/// It has ended, or had its time.
pub fn wait_until_it_listens(address: SocketAddr, mut runs: impl FnMut() -> bool) -> Result<()> {
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(address).is_err() {
        ensure!(runs() && Instant::now() < until, "nobody listens at {address}");
        thread::sleep(LOOK);
    }
    Ok(())
}

/// Waits for the program's end, and ends it when standard input ends: so it lives no longer than whoever asked for it.
///
/// # Errors
/// It cannot be ended.
pub fn keep(mut child: Child) -> Result<()> {
    let (ended, input) = channel();
    thread::spawn(move || ended.send(wait_for_end_of_input()));
    while child.try_wait()?.is_none() {
        if input.recv_timeout(LOOK).is_ok() {
            child.kill()?;
            child.wait()?;
        }
    }
    Ok(())
}
