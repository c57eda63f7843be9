//! A connection through the proxy, and how it is broken.

use std::future::pending;
use std::io;
use std::net::SocketAddr;

use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::orders::{Rules, Way};
use crate::pipe::Pipe;

/// Serves who has connected, to the end.
pub(crate) async fn serve(near: TcpStream, to: SocketAddr, mut rules: watch::Receiver<Rules>) {
    if rules.borrow().refuses {
        return reset(&near);
    }
    let mut fate = Fate::new(rules.clone());
    let far = async {
        // Who connects into a black hole is not known beyond it.
        let _ = rules.wait_for(|rules| !rules.is_cut()).await;
        TcpStream::connect(to).await
    };
    let far = tokio::select! {
        // A connection that is there already is to be reset, not just dropped.
        biased;
        far = far => far,
        () = fate.strikes() => return reset(&near),
    };
    let Ok(far) = far else { return reset(&near) };
    // A connection without it is only slower.
    let _ = near.set_nodelay(true).and_then(|()| far.set_nodelay(true));
    join(near, far, &rules, fate).await;
}

/// Joins both ends, to their ends. What breaks one resets both.
async fn join(
    mut near: TcpStream,
    mut far: TcpStream,
    rules: &watch::Receiver<Rules>,
    mut fate: Fate,
) {
    let (near_read, near_write) = near.split();
    let (far_read, far_write) = far.split();
    let passing = async {
        let up = Pipe::new(Way::Up, rules.clone()).carry(near_read, far_write);
        let down = Pipe::new(Way::Down, rules.clone()).carry(far_read, near_write);
        tokio::try_join!(up, down)
    };
    let is_orderly = tokio::select! {
        passed = passing => passed.is_ok(),
        () = fate.strikes() => false,
    };
    if !is_orderly {
        reset(&near);
        reset(&far);
    }
}

/// What ends a connection before its time.
struct Fate {
    rules: watch::Receiver<Rules>,
    born: Instant,
    resets: u64,
}

impl Fate {
    fn new(rules: watch::Receiver<Rules>) -> Self {
        let resets = rules.borrow().resets;
        Self { rules, born: Instant::now(), resets }
    }

    /// Returns when the connection is to be reset, by order or for its age.
    async fn strikes(&mut self) {
        loop {
            let (resets, age) = {
                let rules = self.rules.borrow_and_update();
                (rules.resets, rules.age)
            };
            if resets > self.resets {
                return;
            }
            let old = async {
                match age {
                    Some(age) => sleep_until(self.born + age).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                () = old => return,
                changed = self.rules.changed() => if changed.is_err() {
                    return;
                },
            }
        }
    }
}

/// Has the peer get RST, and not FIN, when the socket is dropped.
fn reset(socket: &TcpStream) {
    // Without it the peer gets a FIN, or a RST if something was not read.
    let _: io::Result<()> = socket.set_zero_linger();
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    use super::*;

    /// For what is to come, on a busy machine.
    const PATIENCE: Duration = Duration::from_secs(10);
    /// For what is not.
    const WHILE: Duration = Duration::from_millis(100);

    /// A connection through the proxy.
    struct Joined {
        near: TcpStream,
        far: Option<TcpStream>,
        orders: watch::Sender<Rules>,
    }

    impl Joined {
        async fn new(first: &str) -> Self {
            let beyond = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let near = TcpStream::connect(proxy.local_addr().unwrap()).await.unwrap();
            let (accepted, _) = proxy.accept().await.unwrap();
            let (orders, rules) = watch::channel(Rules::default());
            orders.send_modify(|rules| rules.obey(first).unwrap());
            tokio::spawn(serve(accepted, beyond.local_addr().unwrap(), rules));
            let is_expected = first == "pass";
            let far = timeout(if is_expected { PATIENCE } else { WHILE }, beyond.accept()).await;
            Self { near, far: far.ok().map(|far| far.unwrap().0), orders }
        }

        fn order(&self, line: &str) {
            self.orders.send_modify(|rules| rules.obey(line).unwrap());
        }
    }

    async fn is_reset(socket: &mut TcpStream) -> bool {
        let read = timeout(PATIENCE, socket.read_u8()).await.unwrap();
        read.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset)
    }

    #[tokio::test]
    async fn both_ends_are_reset_by_order_and_for_their_age() {
        for order in ["reset", "age 1ms"] {
            let mut joined = Joined::new("pass").await;
            joined.order(order);
            assert!(is_reset(&mut joined.near).await, "{order}");
            assert!(is_reset(joined.far.as_mut().unwrap()).await, "{order}");
        }
    }

    #[tokio::test]
    async fn who_connects_to_one_that_refuses_is_reset() {
        let mut joined = Joined::new("refuse").await;
        assert!(joined.far.is_none() && is_reset(&mut joined.near).await);
    }

    #[tokio::test]
    async fn a_reset_of_one_end_reaches_the_other_and_none_leaves_a_black_hole() {
        let mut joined = Joined::new("pass").await;
        joined.far.take().unwrap().set_zero_linger().unwrap();
        assert!(is_reset(&mut joined.near).await);

        let mut joined = Joined::new("pass").await;
        joined.order("blackhole");
        joined.near.write_all(b"?").await.unwrap();
        joined.near.set_zero_linger().unwrap();
        drop(joined.near);
        assert!(timeout(WHILE, joined.far.unwrap().read_u8()).await.is_err());
    }

    #[tokio::test]
    async fn who_connects_into_a_black_hole_waits() {
        let mut joined = Joined::new("blackhole").await;
        assert!(joined.far.is_none());
        assert!(timeout(WHILE, joined.near.read_u8()).await.is_err());
    }
}
