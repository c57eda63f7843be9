//! How every TCP socket of ours is set up.

use std::io;
use std::os::fd::AsFd;

use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;

use crate::limits::{TCP_KEEPALIVE, TCP_UNSENT, TCP_USER_TIMEOUT};

/// No delay for small writes, no long queue in the kernel, and a dead peer is noticed when something is sent to it.
///
/// # Errors
/// The socket is closed already.
pub fn tune(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    #[cfg(target_os = "linux")]
    {
        let options = SockRef::from(socket);
        options.set_tcp_user_timeout(Some(TCP_USER_TIMEOUT))?;
        options.set_tcp_notsent_lowat(TCP_UNSENT)?;
    }
    Ok(())
}

/// And also when nothing is. Not for the WebSocket of a session: that has pings of its own, which may be rare on purpose, so
/// that a radio sleeps in between.
///
/// # Errors
/// The socket is closed already.
pub fn ask_for_life(socket: &impl AsFd) -> io::Result<()> {
    SockRef::from(socket).set_tcp_keepalive(&TcpKeepalive::new().with_time(TCP_KEEPALIVE))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_dead_peer_is_noticed_and_a_silent_one_is_asked_where_that_is_wanted() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let socket = TcpStream::connect(address).await.expect("connected");
        tune(&socket).expect("open");
        let options = SockRef::from(&socket);
        assert_eq!(options.tcp_user_timeout().expect("open"), Some(TCP_USER_TIMEOUT));
        assert!(!options.keepalive().expect("open"));
        ask_for_life(&socket).expect("open");
        assert!(options.keepalive().expect("open"));
        assert_eq!(options.tcp_keepalive_time().expect("open"), TCP_KEEPALIVE);
    }
}
