//! A port on which nobody listens yet, and that nobody else gets.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// A bound socket that does not listen: connecting to it is refused. On Linux, `SO_REUSEADDR` lets a
/// program bind the port explicitly while the kernel gives it to nobody who asks for any; elsewhere
/// the port is given back, and only likely to stay free.
pub(crate) struct Port {
    pub(crate) address: SocketAddr,
    socket: Option<TcpSocket>,
}

impl Port {
    /// Takes one.
    pub(crate) fn reserve() -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = socket.local_addr().unwrap();
        Self { address, socket: cfg!(target_os = "linux").then_some(socket) }
    }

    /// Listens there, in this process.
    pub(crate) async fn listen(self) -> TcpListener {
        match self.socket {
            Some(socket) => socket.listen(16).unwrap(),
            None => TcpListener::bind(self.address).await.unwrap(),
        }
    }
}
