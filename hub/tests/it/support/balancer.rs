//! A balancer: one address, and behind it now this, now that hub.

use std::net::SocketAddr;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};

/// Leads each connection to the next of its hubs, round and round; and nowhere while it has none.
pub(crate) struct Balancer {
    pub(crate) address: SocketAddr,
    hubs: Arc<Mutex<Vec<SocketAddr>>>,
}

impl Balancer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().unwrap();
        let hubs = Arc::<Mutex<Vec<SocketAddr>>>::default();
        tokio::spawn(serve(listener, hubs.clone()));
        Self { address, hubs }
    }

    /// From now on it leads to these, in this order.
    pub(crate) fn leads_to(&self, hubs: &[SocketAddr]) {
        *self.hubs.lock() = hubs.to_vec();
    }

    /// Where agents dial it.
    pub(crate) fn uri(&self) -> agent::HubUri {
        format!("ws://{}/ws", self.address).parse().unwrap()
    }
}

async fn serve(listener: TcpListener, hubs: Arc<Mutex<Vec<SocketAddr>>>) {
    while let Ok((mut near, _)) = listener.accept().await {
        let next = {
            let mut hubs = hubs.lock();
            let next = hubs.first().copied();
            if next.is_some() {
                hubs.rotate_left(1);
            }
            next
        };
        tokio::spawn(async move {
            let mut far = TcpStream::connect(next?).await.ok()?;
            copy_bidirectional(&mut near, &mut far).await.ok()
        });
    }
}
