//! The byte stream of a lane, whatever is at its other end.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http2::output::Output;
use tokio::io::{AsyncWrite as _, DuplexStream};
use tokio_util::io::{poll_read_buf, poll_write_buf};
use tunnel::lanes::{Lane, LaneEnd};

/// Bytes that are read at once of a lane in memory.
const READ: usize = 16 << 10;

/// A lane's byte stream.
#[derive(Debug)]
pub(super) enum LaneIo {
    /// On an agent's session.
    Session(Lane),
    /// To the hub's own services.
    Own(DuplexStream),
}

impl LaneIo {
    /// Its number in its session, where it is on one.
    pub(super) fn number(&self) -> Option<u32> {
        match self {
            Self::Session(lane) => Some(lane.id()),
            Self::Own(_) => None,
        }
    }

    /// The next piece of what has come; empty at its end.
    pub(super) fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Bytes>> {
        match self {
            Self::Session(lane) => lane.poll_piece(cx, usize::MAX),
            Self::Own(io) => {
                let mut bytes = BytesMut::with_capacity(READ);
                ready!(poll_read_buf(Pin::new(io), cx, &mut bytes))?;
                Poll::Ready(Ok(bytes.freeze()))
            }
        }
    }

    /// Writes this, and takes it as it goes. Ready once nothing of it is left.
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        output: &mut Output,
    ) -> Poll<io::Result<()>> {
        let io = match self {
            Self::Session(lane) => return lane.poll_write_from(cx, output),
            Self::Own(io) => io,
        };
        while !output.is_empty() {
            if ready!(poll_write_buf(Pin::new(&mut *io), cx, output))? == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Says that nothing more follows. What was said before goes first.
    pub(super) fn finish(&mut self, cx: &mut Context<'_>) {
        let _ = match self {
            Self::Session(lane) => Pin::new(lane).poll_shutdown(cx),
            Self::Own(io) => Pin::new(io).poll_shutdown(cx),
        };
    }

    /// How the agent has ended it, if it has.
    pub(super) fn end(&self) -> Option<LaneEnd> {
        match self {
            Self::Session(lane) => lane.status().end().cloned(),
            Self::Own(_) => None,
        }
    }
}
