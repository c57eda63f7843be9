//! How every TCP socket of ours is set up.

use std::io;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::limits::{TCP_KEEPALIVE, TCP_UNSENT, TCP_USER_TIMEOUT};

/// No delay for small writes, no long queue in the kernel, and a dead peer is noticed.
///
/// # Errors
/// The socket is closed already.
pub fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    let options = SockRef::from(socket);
    options.set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE))?;
    #[cfg(target_os = "linux")]
    {
        options.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))?;
        options.set_tcp_notsent_lowat(TCP_UNSENT)?;
    }
    Ok(())
}
