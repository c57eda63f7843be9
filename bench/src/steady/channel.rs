//! A connection as gRPC's clients keep one: dialled anew at once when it is lost, or when its server says that it leaves.
//!
//! While it is dialled, calls wait. Once that has failed, calls fail until it succeeds.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Context as _, Result};
use bytes::Bytes;
use h2::client::SendRequest;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::{oneshot, watch};
use tokio::time::{sleep, timeout};
use tunnel::tap::{Tap, Tapped};

/// What gRPC's clients give a connection to come about.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where the connection stands.
#[derive(Clone)]
enum State {
    Connecting,
    Ready(Streams),
    /// The last attempt has failed.
    Failed,
}

/// Opens streams on one connection.
#[derive(Clone)]
pub(crate) struct Streams {
    pub(crate) open: SendRequest<Bytes>,
    /// Which of the channel's connections this is.
    number: u64,
}

/// A connection, and those after it.
#[derive(Clone)]
pub(crate) struct Channel {
    state: watch::Receiver<State>,
    /// The last connection that takes no more calls.
    left: watch::Sender<u64>,
}

impl Channel {
    /// Dials at once, and keeps dialling as long as it lives; so long after a failure.
    pub(crate) fn new(address: SocketAddr, redial: Duration) -> Self {
        let (sender, state) = watch::channel(State::Connecting);
        let (left, leaves) = watch::channel(0);
        tokio::spawn(async move {
            tokio::select! {
                () = keep(address, redial, &sender, leaves) => {}
                () = sender.closed() => {}
            }
        });
        Self { state, left }
    }

    /// Waits for the connection; None if it does not come about.
    pub(crate) async fn streams(&self) -> Option<Streams> {
        let mut state = self.state.clone();
        let known = state.wait_for(|state| !matches!(state, State::Connecting)).await.ok()?;
        match &*known {
            State::Ready(streams) => Some(streams.clone()),
            State::Connecting | State::Failed => None,
        }
    }

    /// No more calls are to go out on this one: it said so, or is lost.
    pub(crate) async fn leave(&self, streams: &Streams) {
        let number = streams.number;
        self.left.send_if_modified(|left| {
            let is_news = number > *left;
            *left = number.max(*left);
            is_news
        });
        // So that the next look does not find it again.
        let is_another =
            |state: &State| !matches!(state, State::Ready(streams) if streams.number == number);
        let _ = self.state.clone().wait_for(is_another).await;
    }
}

async fn keep(
    address: SocketAddr,
    redial: Duration,
    state: &watch::Sender<State>,
    mut leaves: watch::Receiver<u64>,
) {
    for number in 1.. {
        let Ok((open, lost)) = dial(address).await else {
            state.send_replace(State::Failed);
            sleep(redial).await;
            continue;
        };
        state.send_replace(State::Ready(Streams { open, number }));
        tokio::select! {
            _ = lost => {}
            _ = leaves.wait_for(|left| *left >= number) => {}
        }
        state.send_replace(State::Connecting);
    }
}

/// Connects, and waits for the first bytes of the server: before them, nobody knows whether anybody serves. The second
/// ends with the connection.
async fn dial(address: SocketAddr) -> Result<(SendRequest<Bytes>, oneshot::Receiver<()>)> {
    let dialled = async {
        let tcp = TcpStream::connect(address).await?;
        tcp.set_nodelay(true)?;
        let (heard, hears) = oneshot::channel();
        let (streams, connection) = h2::client::Builder::new()
            // Many small messages are what is asked for, not a flood.
            .data_frame_budget(usize::MAX)
            .handshake(Tapped::new(tcp, FirstRead(Some(heard))))
            .await?;
        let (ends, lost) = oneshot::channel::<()>();
        // How it ends, each call on it learns by itself. It may outlive its place in the channel: calls go on to their end.
        tokio::spawn(async move {
            let _ends = ends;
            drop(connection.await);
        });
        hears.await.context("it ended before it said anything")?;
        Ok((streams, lost))
    };
    timeout(PATIENCE, dialled).await?
}

/// Tells when the first bytes have come.
struct FirstRead(Option<oneshot::Sender<()>>);

impl Tap for FirstRead {
    fn poll_read<S: AsyncRead + Unpin>(
        &mut self,
        io: &mut S,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(io).poll_read(cx, buf))?;
        if buf.filled().len() > before
            && let Some(heard) = self.0.take()
        {
            // Whoever waited for it may have had no more patience.
            let _ = heard.send(());
        }
        Poll::Ready(Ok(()))
    }
}
