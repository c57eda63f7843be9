//! A long link: a TCP proxy that hands on what it gets after a while, and loses nothing.
//!
//! It is a process of its own, so that what it does takes no time of whoever is measured. The real thing also bounds how
//! much it carries; for that there is the kernel (`tc`).

use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use clap::Parser;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// Pieces that are on their way in one direction of a connection at most.
const ON_THE_WAY: usize = 4096;
/// Bytes of the largest.
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

/// One direction of a connection.
async fn carry(
    mut from: ReadHalf<TcpStream>,
    mut to: WriteHalf<TcpStream>,
    delay: Duration,
) -> io::Result<()> {
    let (leave, mut arrive) = mpsc::channel::<(Instant, Bytes)>(ON_THE_WAY);
    let leaving = async move {
        let mut space = BytesMut::new();
        loop {
            space.reserve(PIECE);
            let is_end = from.read_buf(&mut space).await? == 0;
            let sent = leave.send((Instant::now() + delay, space.split().freeze())).await;
            if is_end || sent.is_err() {
                return io::Result::Ok(());
            }
        }
    };
    let arriving = async move {
        while let Some((due, piece)) = arrive.recv().await {
            sleep_until(due).await;
            to.write_all(&piece).await?;
        }
        to.shutdown().await
    };
    tokio::try_join!(leaving, arriving)?;
    Ok(())
}
