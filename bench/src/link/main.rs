//! A long link: a TCP proxy that hands on what it gets after a while, and loses nothing.
//!
//! It is a process of its own, so that what it does takes no time of whoever is measured. The real thing also bounds how
//! much it carries; for that there is the kernel (`tc`).

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clap::Parser;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

/// Bytes that are on their way in one direction of a connection at most: 640 MB/s at 100 ms.
const ON_THE_WAY: usize = 64 << 20;
/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// Hands on what it gets after a while.
#[derive(Debug, Parser)]
struct Args {
    /// Where to listen; the port is printed
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,

    /// Where to connect to
    #[arg(long)]
    to: SocketAddr,

    /// From one end to the other: half of a round trip
    #[arg(long, value_parser = humantime::parse_duration)]
    delay: Duration,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let listener = TcpListener::bind(args.listen).await?;
    writeln!(io::stdout(), "{}", listener.local_addr()?.port())?;
    serve(listener, &args).await?;
    Ok(())
}

async fn serve(listener: TcpListener, args: &Args) -> io::Result<()> {
    loop {
        let (near, _) = listener.accept().await?;
        tokio::spawn(join(near, args.to, args.delay));
    }
}

/// Joins a connection with one to the other end.
async fn join(near: TcpStream, to: SocketAddr, delay: Duration) -> io::Result<()> {
    let far = TcpStream::connect(to).await?;
    near.set_nodelay(true)?;
    far.set_nodelay(true)?;
    let (near_read, near_write) = tokio::io::split(near);
    let (far_read, far_write) = tokio::io::split(far);
    tokio::try_join!(carry(near_read, far_write, delay), carry(far_read, near_write, delay))?;
    Ok(())
}

/// What is on its way in one direction.
#[derive(Debug, Default)]
struct OnTheWay {
    pieces: Mutex<Pieces>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Pieces {
    /// When each arrives; the end is an empty one.
    queue: VecDeque<(Instant, Bytes)>,
    bytes: usize,
}

async fn carry(
    from: ReadHalf<TcpStream>,
    to: WriteHalf<TcpStream>,
    delay: Duration,
) -> io::Result<()> {
    let way = Arc::new(OnTheWay::default());
    tokio::try_join!(leave(from, way.clone(), delay), arrive(way, to))?;
    Ok(())
}

async fn leave(
    mut from: ReadHalf<TcpStream>,
    way: Arc<OnTheWay>,
    delay: Duration,
) -> io::Result<()> {
    loop {
        while way.pieces.lock().bytes >= ON_THE_WAY {
            way.changed.notified().await;
        }
        let mut piece = BytesMut::with_capacity(PIECE);
        let len = from.read_buf(&mut piece).await?;
        let mut pieces = way.pieces.lock();
        pieces.queue.push_back((Instant::now() + delay, piece.freeze()));
        pieces.bytes += len;
        drop(pieces);
        way.changed.notify_waiters();
        if len == 0 {
            return Ok(());
        }
    }
}

async fn arrive(way: Arc<OnTheWay>, mut to: WriteHalf<TcpStream>) -> io::Result<()> {
    loop {
        let changed = way.changed.notified();
        let Some((due, piece)) = way.pieces.lock().queue.front().cloned() else {
            changed.await;
            continue;
        };
        sleep_until(due).await;
        if piece.is_empty() {
            return to.shutdown().await;
        }
        to.write_all(&piece).await?;
        let mut pieces = way.pieces.lock();
        pieces.queue.pop_front();
        pieces.bytes -= piece.len();
        drop(pieces);
        way.changed.notify_waiters();
    }
}
