//! TCP to a host that may have several addresses: while one is silent, the next is tried (RFC 8305).

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpStream, lookup_host};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::limits::CONNECT_NEXT;
use crate::sockets;

/// Connects to whichever address of `host` answers first. The name is looked up anew each time. Has no deadline of its
/// own.
///
/// # Errors
/// The name is unknown, or no address takes the connection; what the last one said.
pub async fn connect(host: &str, port: u16) -> io::Result<TcpStream> {
    connect_within(host, port, Duration::MAX).await
}

/// The same for who has something else to do: once the name is looked up, all of its addresses have so long together.
///
/// # Errors
/// As of [`connect`], and that it was too long.
pub async fn connect_within(host: &str, port: u16, limit: Duration) -> io::Result<TcpStream> {
    let addresses = lookup_host((host, port)).await?.collect();
    let tcp = timeout(limit, race(by_turns(addresses), TcpStream::connect)).await;
    let late = || format!("no connection within {}s", limit.as_secs());
    let tcp = tcp.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, late()))??;
    sockets::tune(&tcp)?;
    Ok(tcp)
}

/// The families by turns, beginning with that which the system prefers (RFC 8305 4): where one of them leads nowhere, the
/// other is next.
fn by_turns(addresses: Vec<SocketAddr>) -> Vec<SocketAddr> {
    let Some(first) = addresses.first().map(SocketAddr::is_ipv4) else {
        return addresses;
    };
    let (preferred, other): (Vec<_>, Vec<_>) =
        addresses.into_iter().partition(|address| address.is_ipv4() == first);
    let (mut preferred, mut other) = (preferred.into_iter(), other.into_iter());
    let mut ordered = Vec::new();
    loop {
        let before = ordered.len();
        ordered.extend(preferred.next().into_iter().chain(other.next()));
        if ordered.len() == before {
            return ordered;
        }
    }
}

/// Tries one after the other, the next as soon as one has failed or all are silent for [`CONNECT_NEXT`].
async fn race<F, T>(addresses: Vec<SocketAddr>, connect: impl Fn(SocketAddr) -> F) -> io::Result<T>
where
    F: Future<Output = io::Result<T>> + Send + 'static,
    T: Send + 'static,
{
    let mut addresses = addresses.into_iter();
    let mut tried = JoinSet::new();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match addresses.next() {
            Some(address) => drop(tried.spawn(connect(address))),
            None if tried.is_empty() => return Err(failed),
            None => {}
        }
        let is_last = addresses.len() == 0;
        tokio::select! {
            Some(ended) = tried.join_next() => match ended.map_err(io::Error::other).flatten() {
                Ok(connected) => return Ok(connected),
                Err(error) => failed = error,
            },
            () = sleep(CONNECT_NEXT), if !is_last => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    /// By port: how long it takes, and whether it fails then. Returns who answered, and when.
    async fn raced(ports: &[(u16, Duration, bool)]) -> (Result<u16, u16>, Duration) {
        let addresses = ports.iter().map(|(port, ..)| SocketAddr::from(([127, 0, 0, 1], *port)));
        let began = Instant::now();
        let connected = race(addresses.collect(), |address| {
            let (port, takes, fails) =
                *ports.iter().find(|(port, ..)| *port == address.port()).expect("it is known");
            async move {
                sleep(takes).await;
                if fails { Err(io::Error::from_raw_os_error(i32::from(port))) } else { Ok(port) }
            }
        });
        let connected = connected.await.map_err(|error| error.raw_os_error().unwrap_or(0) as u16);
        (connected, began.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_address_holds_up_for_a_moment_only() {
        assert_eq!(raced(&[(1, SECOND, false)]).await, (Ok(1), SECOND));
        let silent = (1, 1000 * SECOND, false);
        let late = CONNECT_NEXT + SECOND;
        assert_eq!(raced(&[silent, (2, SECOND, false)]).await, (Ok(2), late));
        assert_eq!(
            raced(&[silent, silent, (2, SECOND, false)]).await,
            (Ok(2), late + CONNECT_NEXT)
        );
        let slow = (1, CONNECT_NEXT + SECOND / 2, false);
        assert_eq!(raced(&[slow, (2, SECOND, false)]).await.0, Ok(1), "it is still waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn who_refuses_holds_up_nobody() {
        let refuses = |port| (port, Duration::ZERO, true);
        let began = raced(&[refuses(1), refuses(2), (3, SECOND, false)]).await;
        assert_eq!(began, (Ok(3), SECOND));
        assert_eq!(raced(&[refuses(1), refuses(2)]).await, (Err(2), Duration::ZERO));
        assert_eq!(raced(&[]).await.0, Err(0));
    }

    #[test]
    fn families_take_turns() {
        let all = ["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"].map(address);
        let ordered = ["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"].map(address);
        assert_eq!(by_turns(all.to_vec()), ordered);
        assert_eq!(by_turns(vec![]), []);
    }
}
